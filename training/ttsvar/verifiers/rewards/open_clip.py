"""OpenCLIP's two towers (HPS v2 is a fine-tuned ViT-H/14 of it) under the original weight names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class OpenClipConfig:
    """Sizes; the defaults are ViT-H-14, HPS v2's backbone."""

    image_size: int = 224
    patch: int = 14
    vision_width: int = 1280
    vision_depth: int = 32
    vision_heads: int = 16
    vocabulary: int = 49408
    text_width: int = 1024
    text_depth: int = 24
    text_heads: int = 16
    context: int = 77
    embed: int = 1024


class _Attention(nn.Module):
    """nn.MultiheadAttention's weight names, spelled out so that the graph stays plain."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        )
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores + mask
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = _Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


def _blocks(width: int, depth: int, heads: int) -> nn.ModuleDict:
    return nn.ModuleDict({"resblocks": nn.ModuleList([_Block(width, heads) for _ in range(depth)])})


class VisionTower(nn.Module):
    """pixel_values [B, 3, S, S] -> image_embeds [B, D], not normalised."""

    def __init__(self, c: OpenClipConfig) -> None:
        super().__init__()
        width, tokens = c.vision_width, (c.image_size // c.patch) ** 2
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(1 + tokens, width) * width**-0.5)
        self.conv1 = nn.Conv2d(3, width, c.patch, c.patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _blocks(width, c.vision_depth, c.vision_heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, c.embed) * width**-0.5)

    def forward(self, pixel_values: Tensor) -> Tensor:
        x = self.conv1(pixel_values).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], 1) + self.positional_embedding
        x = self.ln_pre(x)
        for block in self.transformer["resblocks"]:
            x = block(x)
        return self.ln_post(x[:, 0]) @ self.proj


class OpenClip(nn.Module):
    """Both towers; the text tower's weights lie at the top level, as in the original."""

    def __init__(self, config: OpenClipConfig | None = None) -> None:
        super().__init__()
        c = config or OpenClipConfig()
        self.config = c
        self.visual = VisionTower(c)
        self.transformer = _blocks(c.text_width, c.text_depth, c.text_heads)
        self.token_embedding = nn.Embedding(c.vocabulary, c.text_width)
        self.positional_embedding = nn.Parameter(torch.randn(c.context, c.text_width) * 0.01)
        self.ln_final = nn.LayerNorm(c.text_width)
        self.text_projection = nn.Parameter(torch.randn(c.text_width, c.embed) * c.text_width**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(4.6052))

    def encode_text(self, input_ids: Tensor) -> Tensor:
        """input_ids [B, L] -> text_embeds [B, D], pooled where the id is largest (the end of text)."""
        length = input_ids.shape[1]
        x = self.token_embedding(input_ids) + self.positional_embedding[:length]
        mask = torch.full((length, length), -10000.0).triu(1)
        for block in self.transformer["resblocks"]:
            x = block(x, mask)
        end = F.one_hot(input_ids.argmax(-1), length).to(x.dtype)
        return (self.ln_final(x) * end[..., None]).sum(1) @ self.text_projection


class TextTower(nn.Module):
    """The text half as a module of its own, for export."""

    def __init__(self, model: OpenClip) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.encode_text(input_ids)


def open_clip_from_checkpoint(state: dict[str, Tensor], config: OpenClipConfig | None = None) -> OpenClip:
    """Builds the model from an OpenCLIP state dict (HPS v2 stores it under `state_dict`).

    Raises KeyError naming what is missing.
    """
    model = OpenClip(config)
    wanted = model.state_dict()
    state = {name.removeprefix("module."): value for name, value in state.items()}
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise KeyError(f"checkpoint lacks {len(missing)} weights of OpenCLIP, first: {missing[:3]}")
    model.load_state_dict({name: state[name] for name in wanted})
    return model.eval()
