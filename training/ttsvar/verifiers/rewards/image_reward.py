"""ImageReward v1.0 (Xu et al. 2023): BLIP's ViT, BERT with cross-attention, and an affine head; original weight names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Mean and standard deviation of the raw head over the authors' training pairs (ImageReward.py of the original).
REWARD_MEAN = 0.16717362830052426
REWARD_STD = 1.0333394966054072
TEXT_LENGTH = 35


@dataclass(frozen=True)
class ImageRewardConfig:
    """Sizes; the defaults are those of the published checkpoint."""

    image_size: int = 224
    patch: int = 16
    vision_width: int = 1024
    vision_depth: int = 24
    vision_heads: int = 16
    vocabulary: int = 30524
    text_width: int = 768
    text_depth: int = 12
    text_heads: int = 12
    text_hidden: int = 3072
    positions: int = 512
    head: tuple[int, ...] = (1024, 128, 64, 16, 1)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Multi-head attention on [B, L, C] tensors; mask is added to the scores."""

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class _VisionAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(_attend(*self.qkv(x).chunk(3, -1), self.heads))


class _VisionBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _VisionAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class VisionEncoder(nn.Module):
    """timm-style ViT: pixel_values [B, 3, S, S] -> tokens [B, 1 + N, C] after the last norm."""

    def __init__(self, c: ImageRewardConfig) -> None:
        super().__init__()
        tokens = (c.image_size // c.patch) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.vision_width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + tokens, c.vision_width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, c.vision_width, c.patch, c.patch)})
        self.blocks = nn.ModuleList([_VisionBlock(c.vision_width, c.vision_heads) for _ in range(c.vision_depth)])
        self.norm = nn.LayerNorm(c.vision_width, eps=1e-6)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class _BertAttention(nn.Module):
    """BERT's attention with its output projection and post-norm; keys and values from `context`."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.self = nn.ModuleDict(
            {"query": nn.Linear(width, width), "key": nn.Linear(context, width), "value": nn.Linear(context, width)}
        )
        self.output = _PostNorm(width, width)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.self["query"](x), self.self["key"](context), self.self["value"](context)
        return self.output(_attend(q, k, v, self.heads, mask), x)


class _PostNorm(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class _BertLayer(nn.Module):
    def __init__(self, c: ImageRewardConfig) -> None:
        super().__init__()
        self.attention = _BertAttention(c.text_width, c.text_heads, c.text_width)
        self.crossattention = _BertAttention(c.text_width, c.text_heads, c.vision_width)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(c.text_width, c.text_hidden)})
        self.output = _PostNorm(c.text_hidden, c.text_width)

    def forward(self, x: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        x = self.crossattention(self.attention(x, x, mask), image)
        return self.output(F.gelu(self.intermediate["dense"](x)), x)


class TextEncoder(nn.Module):
    """BLIP's BERT in its multimodal mode: ids [B, L], mask [B, L], image tokens -> hidden states [B, L, C]."""

    def __init__(self, c: ImageRewardConfig) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(c.vocabulary, c.text_width),
                "position_embeddings": nn.Embedding(c.positions, c.text_width),
                "LayerNorm": nn.LayerNorm(c.text_width, eps=1e-12),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([_BertLayer(c) for _ in range(c.text_depth)])})

    def forward(self, ids: Tensor, attention_mask: Tensor, image: Tensor) -> Tensor:
        e = self.embeddings
        x = e["word_embeddings"](ids) + e["position_embeddings"].weight[: ids.shape[1]]
        x = e["LayerNorm"](x)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.encoder["layer"]:
            x = layer(x, mask, image)
        return x


class ImageReward(nn.Module):
    """(pixel_values [B, 3, S, S], input_ids [B, L], attention_mask [B, L]) -> rewards [B], standardised."""

    def __init__(self, config: ImageRewardConfig | None = None) -> None:
        super().__init__()
        c = config or ImageRewardConfig()
        self.config = c
        self.blip = nn.ModuleDict({"visual_encoder": VisionEncoder(c), "text_encoder": TextEncoder(c)})
        # Linear, Dropout, Linear, Dropout, ..., Linear, Linear: the original's indices are 0, 2, 4, 6, 7.
        widths = (c.text_width, *c.head)
        index = [0, 2, 4, 6, 7]
        self.mlp = nn.ModuleDict(
            {"layers": nn.ModuleDict({str(i): nn.Linear(a, b) for i, a, b in zip(index, widths, widths[1:])})}
        )

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        image = self.blip["visual_encoder"](pixel_values)
        x = self.blip["text_encoder"](input_ids, attention_mask, image)[:, 0]
        for layer in self.mlp["layers"].values():
            x = layer(x)
        return (x[:, 0] - REWARD_MEAN) / REWARD_STD


def image_reward_from_checkpoint(state: dict[str, Tensor], config: ImageRewardConfig | None = None) -> ImageReward:
    """Builds the model from the original state dict. Buffers and heads of BLIP that the score never uses are skipped.

    Raises KeyError naming what is missing: a partly loaded reward would give plausible nonsense.
    """
    model = ImageReward(config)
    wanted = model.state_dict()
    missing = sorted(set(wanted) - set(state))
    if missing:
        raise KeyError(f"checkpoint lacks {len(missing)} weights of ImageReward, first: {missing[:3]}")
    model.load_state_dict({name: state[name] for name in wanted})
    return model.eval()
