"""Exported rewards against the originals' module classes (transformers' BLIP and CLIP), at tiny random sizes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel
from transformers.models.blip.configuration_blip import BlipTextConfig, BlipVisionConfig
from transformers.models.blip.modeling_blip import BlipVisionModel
from transformers.models.blip.modeling_blip_text import BlipTextModel

import export_rewards
from ttsvar.verifiers.rewards import folders, tiny_tokenizers
from ttsvar.verifiers.rewards.hf_clip import open_clip_from_transformers
from ttsvar.verifiers.rewards.image_reward import (
    REWARD_MEAN, REWARD_STD, ImageReward, ImageRewardConfig, image_reward_from_checkpoint,
)  # fmt: skip
from ttsvar.verifiers.rewards.linear_head import fold_linear
from ttsvar.verifiers.rewards.open_clip import OpenClip, OpenClipConfig, open_clip_from_checkpoint

SIZES = ImageRewardConfig(
    image_size=32, patch=8, vision_width=16, vision_depth=2, vision_heads=2, vocabulary=60, text_width=24,
    text_depth=2, text_heads=2, text_hidden=32, positions=40, head=(8, 6, 4, 3, 1),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def randomised(module: nn.Module) -> nn.Module:
    """Every parameter random, biases and norms too, so that a missing one shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return module.eval()


def vision_to_hf(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """ImageReward's (timm's) ViT names -> transformers' BLIP names."""
    renamed = {}
    for name, value in state.items():
        name = name.replace("cls_token", "embeddings.class_embedding").replace("pos_embed", "embeddings.position_embedding")
        name = name.replace("patch_embed.proj", "embeddings.patch_embedding").replace("blocks.", "encoder.layers.")
        name = name.replace("norm1", "layer_norm1").replace("norm2", "layer_norm2")
        name = name.replace("attn.qkv", "self_attn.qkv").replace("attn.proj", "self_attn.projection")
        renamed["post_layernorm." + name[5:] if name.startswith("norm.") else name] = value
    return renamed


@torch.no_grad()
def test_image_reward_equals_blip_classes() -> None:
    ours = randomised(ImageReward(SIZES))
    vision = BlipVisionModel(
        BlipVisionConfig(
            hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=32,
            patch_size=8, hidden_act="gelu", layer_norm_eps=1e-6,
        )  # fmt: skip
    ).eval()
    text = BlipTextModel(
        BlipTextConfig(
            vocab_size=60, hidden_size=24, encoder_hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=40, is_decoder=True, attn_implementation="eager",
        ),
        add_pooling_layer=False,
    ).eval()  # fmt: skip
    state = ours.state_dict()
    part = lambda prefix: {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}  # noqa: E731
    vision.load_state_dict(vision_to_hf(part("blip.visual_encoder.")))
    missing, unexpected = text.load_state_dict(part("blip.text_encoder."), strict=False)
    assert not unexpected and all("position_ids" in name for name in missing)

    pixels, ids = torch.rand(3, 3, 32, 32), torch.randint(1, 60, (3, 35))
    mask = (torch.arange(35)[None] < torch.tensor([35, 9, 2])[:, None]).long()
    hidden = text(
        input_ids=ids, attention_mask=mask, encoder_hidden_states=vision(pixels).last_hidden_state, is_decoder=False
    ).last_hidden_state[:, 0]  # fmt: skip
    for layer in ours.mlp["layers"].values():
        hidden = layer(hidden)
    expected = (hidden[:, 0] - REWARD_MEAN) / REWARD_STD
    torch.testing.assert_close(ours(pixels, ids, mask), expected, rtol=1e-4, atol=1e-4)


def tiny_hf_clip() -> CLIPModel:
    sizes = dict(hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, hidden_act="gelu")
    config = CLIPConfig(
        text_config=dict(sizes, vocab_size=50, max_position_embeddings=12, eos_token_id=2, bos_token_id=1, pad_token_id=0),
        vision_config=dict(sizes, image_size=32, patch_size=8), projection_dim=12,
    )  # fmt: skip
    return randomised(CLIPModel._from_config(config, attn_implementation="eager"))


@torch.no_grad()
def test_clip_towers_equal_transformers() -> None:
    original = tiny_hf_clip()
    ours = open_clip_from_transformers(original.state_dict(), original.config.to_dict())
    pixels = torch.rand(2, 3, 32, 32)
    ids = torch.tensor([[48, 5, 6, 49] + [0] * 8, [48, 7, 8, 9, 10, 49] + [0] * 6])
    image = original.visual_projection(original.vision_model(pixels).pooler_output)
    text = original.text_projection(original.text_model(ids).pooler_output)
    torch.testing.assert_close(ours.visual(pixels), image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.encode_text(ids), text, rtol=1e-4, atol=1e-5)


def run(graph: Path, feeds: dict[str, torch.Tensor]) -> np.ndarray:
    return ort.InferenceSession(str(graph)).run(None, {name: value.numpy() for name, value in feeds.items()})[0]


@torch.no_grad()
def test_checkpoints_become_folders(tmp_path: Path) -> None:
    tokenizer, config = tiny_tokenizers.clip_tokenizer(context=12)
    tiny_tokenizers.save(tokenizer, config, tmp_path / "tokenizer")

    clip = tiny_hf_clip()
    clip.save_pretrained(tmp_path / "pickscore")
    export_rewards.export("pickscore", tmp_path / "pickscore", tmp_path / "tokenizer", tmp_path / "out")
    pixels = torch.rand(3, 3, 32, 32)
    expected = clip.visual_projection(clip.vision_model(pixels).pooler_output)
    found = run(tmp_path / "out/onnx/vision_model.onnx", {"pixel_values": pixels})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)
    written = json.loads((tmp_path / "out/config.json").read_text())
    assert written["logit_scale"] == pytest.approx(float(clip.logit_scale))
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert {"onnx/text_model.onnx", "onnx/vision_model.onnx", "tokenizer.json"} <= set(manifest["files"])
    assert manifest["license"] == "MIT" and manifest["flops"] > 0


@torch.no_grad()
def test_image_reward_graph_equals_module(tmp_path: Path) -> None:
    tokenizer, config = tiny_tokenizers.bert_tokenizer()
    tiny_tokenizers.save(tokenizer, config, tmp_path / "tokenizer")
    model = randomised(ImageReward(SIZES))
    # Buffers that the original checkpoint carries beside the weights must not matter.
    state = model.state_dict() | {"blip.text_encoder.embeddings.position_ids": torch.arange(40)[None]}
    folders.write_image_reward(image_reward_from_checkpoint(state, SIZES), tmp_path / "tokenizer", tmp_path / "out")
    feeds = {
        "pixel_values": torch.rand(3, 3, 32, 32), "input_ids": torch.randint(0, 60, (3, 35)),
        "attention_mask": (torch.arange(35)[None] < torch.tensor([4, 20, 35])[:, None]).long(),
    }  # fmt: skip
    np.testing.assert_allclose(
        run(tmp_path / "out/onnx/model.onnx", feeds), model(*feeds.values()).numpy(), rtol=1e-3, atol=1e-4
    )


@torch.no_grad()
def test_siglip_graphs_equal_the_classes(tmp_path: Path) -> None:
    vision = export_rewards.siglip_vision(**export_rewards.TINY_SIGLIP, image_size=32, patch_size=8)
    text = export_rewards.siglip_text(
        **export_rewards.TINY_SIGLIP, vocab_size=50, max_position_embeddings=12, projection_size=16, bos_token_id=1,
        eos_token_id=1,
    )  # fmt: skip
    for tower, name, example, other in (
        (vision, "pixel_values", torch.rand(2, 3, 32, 32), torch.rand(1, 3, 32, 32)),
        (text, "input_ids", torch.randint(0, 50, (2, 12)), torch.randint(0, 50, (1, 12))),
    ):
        randomised(tower)
        graph = tmp_path / f"{name}.onnx"
        folders.export_graph(tower, {name: example}, "pooler_output", graph)
        found = run(graph, {name: other})
        np.testing.assert_allclose(found, tower.tower(other).pooler_output.numpy(), rtol=1e-3, atol=1e-4)


def test_incomplete_checkpoints_are_refused() -> None:
    state = OpenClip(OpenClipConfig(vocabulary=9, context=4, **export_rewards.TINY_CLIP)).state_dict()
    del state["visual.ln_post.bias"]
    with pytest.raises(KeyError, match="visual.ln_post.bias"):
        open_clip_from_checkpoint(state, OpenClipConfig(vocabulary=9, context=4, **export_rewards.TINY_CLIP))


@torch.no_grad()
def test_folded_head_equals_the_stack() -> None:
    stack = nn.Sequential(nn.Linear(20, 16), nn.Dropout(), nn.Linear(16, 8), nn.Dropout(), nn.Linear(8, 1)).double().eval()
    weights, bias = fold_linear({f"layers.{k}": v for k, v in stack.state_dict().items()})
    x = torch.randn(5, 20, dtype=torch.double)
    np.testing.assert_allclose(x.numpy() @ weights + bias, stack(x)[:, 0].numpy(), rtol=1e-9)
    with pytest.raises(ValueError, match="chain"):
        fold_linear({"0.weight": torch.ones(3, 4), "0.bias": torch.ones(3)})
