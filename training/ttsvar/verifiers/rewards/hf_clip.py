"""transformers' CLIP checkpoints (PickScore is one) read into the OpenCLIP module, so that one exporter serves both."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from .open_clip import OpenClip, OpenClipConfig, open_clip_from_checkpoint

_TOP = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "logit_scale": "logit_scale",
}
_BLOCK = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip
_LAYER = re.compile(r"(text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$")


def config_of(hf: dict) -> OpenClipConfig:
    """Sizes from a transformers CLIP config.json. Raises ValueError for an activation the graph does not have."""
    text, vision = hf["text_config"], hf["vision_config"]
    for part in (text, vision):
        if part.get("hidden_act", "quick_gelu") != "gelu":
            raise ValueError(f"only gelu towers are exported (ViT-H/14 has it), found {part.get('hidden_act')}")
    return OpenClipConfig(
        image_size=vision["image_size"], patch=vision["patch_size"], vision_width=vision["hidden_size"],
        vision_depth=vision["num_hidden_layers"], vision_heads=vision["num_attention_heads"],
        vocabulary=text["vocab_size"], text_width=text["hidden_size"], text_depth=text["num_hidden_layers"],
        text_heads=text["num_attention_heads"], context=text["max_position_embeddings"],
        embed=hf["projection_dim"],
    )  # fmt: skip


def open_clip_from_transformers(state: dict[str, Tensor], hf_config: dict) -> OpenClip:
    """Builds the OpenCLIP module from a transformers CLIPModel state dict."""
    renamed: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name in _TOP:
            renamed[_TOP[name]] = value
        elif name == "text_projection.weight":
            renamed["text_projection"] = value.T
        elif name == "visual_projection.weight":
            renamed["visual.proj"] = value.T
        elif match := _LAYER.match(name):
            tower, layer, module, kind = match.groups()
            prefix = ("visual." if tower == "vision" else "") + f"transformer.resblocks.{layer}."
            if module.endswith(("q_proj", "k_proj", "v_proj")):
                fused.setdefault(f"{prefix}attn.in_proj_{kind}", {})[module[-6]] = value
            else:
                renamed[f"{prefix}{_BLOCK[module]}.{kind}"] = value
    renamed |= {name: torch.cat([parts[k] for k in "qkv"]) for name, parts in fused.items()}
    return open_clip_from_checkpoint(renamed, config_of(hf_config))
