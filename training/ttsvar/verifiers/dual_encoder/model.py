"""The two towers.

Vision: strided convolutions -> 8x8 tokens -> transformer with a few learned slot tokens -> the slots are
joined with the mean patch of every quadrant by a small MLP -> projection. The slots are the attention pooling: they
read the patches in every layer; the quadrant means say plainly what stands where, which slots alone learn slowly.
Text: phrase embedding -> bidirectional transformer -> state of the last real token (EOS) -> projection.
Interface and names follow CLIP (Radford et al. 2021) as transformers.js loads it; the inside is the project's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig


class Block(nn.Module):
    """Pre-norm transformer block with a squared-ReLU MLP; residual branches start at zero."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, ratio * width)
        self.down = nn.Linear(ratio * width, width)
        for layer in (self.out, self.down):
            nn.init.zeros_(layer.weight)
        for layer in (self.qkv, self.up):
            nn.init.normal_(layer.weight, std=width**-0.5)
        for layer in (self.qkv, self.out, self.up, self.down):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [B,T,W], bias [B,1,1,T] added to the attention logits -> [B,T,W]."""
        b, t, w = x.shape
        h, d = self.heads, w // self.heads
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, h, d).permute(2, 0, 3, 1, 4).reshape(3, b * h, t, d).unbind(0)
        # Plain batched products: their backward pass is more than twice as fast on a CPU as fused attention.
        logits = torch.bmm(q * d**-0.5, k.transpose(1, 2)).view(b, h, t, t)
        if bias is not None:
            logits = logits + bias
        weights = logits.softmax(-1).to(v.dtype).view(b * h, t, t)
        a = torch.bmm(weights, v).view(b, h, t, d)
        x = x + self.out(a.transpose(1, 2).reshape(b, t, w))
        return x + self.down(F.relu(self.up(self.norm2(x))).square())


class Residual(nn.Module):
    """Two 3x3 convolutions around a ReLU, zero at the start, no normalisation (cheap in bfloat16)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1)
        self.b = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.b.weight)
        nn.init.zeros_(self.b.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(F.relu(self.a(F.relu(x))))


class VisionTower(nn.Module):
    """pixel_values [B,3,S,S] in [-1,1] -> image_embeds [B,D], last_hidden_state [B,1+G*G,W]."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        s1, s2 = c.stem
        w = c.vision_width
        self.slots_count = c.slots
        self.stem = nn.Sequential(
            nn.Conv2d(3, s1, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(s1, s2, 4, 2, 1),
            Residual(s2),
            Residual(s2),
            nn.ReLU(),
            nn.Conv2d(s2, w, 4, 2, 1),
            Residual(w),
        )
        self.position = nn.Parameter(torch.randn(c.grid * c.grid, w) * 0.1)
        self.slots = nn.Parameter(torch.randn(c.slots, w) * 0.1)
        self.norm_in = nn.LayerNorm(w)
        self.blocks = nn.ModuleList(Block(w, c.vision_heads, c.mlp_ratio) for _ in range(c.vision_layers))
        self.norm_out = nn.LayerNorm(w)
        self.half = c.grid // 2
        self.quadrants = c.quadrants
        self.pool_up = nn.Linear((c.slots + 4 * c.quadrants) * w, 2 * w)
        self.pool_down = nn.Linear(2 * w, w)
        self.norm_pool = nn.LayerNorm(w)
        self.projection = nn.Linear(w, c.projection_dim, bias=False)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(pixel_values).flatten(2).transpose(1, 2)
        x = self.norm_in(x) + self.position
        x = torch.cat([self.slots.unsqueeze(0).expand(x.shape[0], -1, -1).to(x.dtype), x], 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm_out(x)
        slots, patches = x[:, : self.slots_count], x[:, self.slots_count :]
        joined = slots.flatten(1)
        if self.quadrants:
            b, _, w = patches.shape
            means = patches.reshape(b, 2, self.half, 2, self.half, w).mean((2, 4)).flatten(1)
            joined = torch.cat([joined, means.to(joined.dtype)], 1)
        pooled = self.norm_pool(self.pool_down(F.relu(self.pool_up(joined)).square()))
        return self.projection(pooled), torch.cat([pooled.unsqueeze(1), patches], 1)


class TextTower(nn.Module):
    """input_ids, attention_mask i64 [T,L] (padding on the right) -> text_embeds [T,D]."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        w = c.text_width
        self.embedding = nn.Embedding(c.vocab_size, w)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.position = nn.Parameter(torch.randn(c.context_length, w) * 0.2)
        self.blocks = nn.ModuleList(Block(w, c.text_heads, c.mlp_ratio) for _ in range(c.text_layers))
        self.norm_out = nn.LayerNorm(w)
        self.projection = nn.Linear(w, c.projection_dim, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.to(self.position.dtype)
        x = self.embedding(input_ids) + self.position[: input_ids.shape[1]]
        bias = (mask - 1.0)[:, None, None, :] * 1e4
        for block in self.blocks:
            x = block(x, bias)
        # One-hot of the last real token: a right-padded row falls from 1 to 0 exactly there.
        following = F.pad(mask[:, 1:], (0, 1))
        last = (mask - following).unsqueeze(-1)
        return self.projection(self.norm_out((x * last).sum(1)))


class DualEncoder(nn.Module):
    """Both towers, the temperature, and patch-wise heads used only in training."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config)
        self.text = TextTower(config)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init))
        self.patch_class = nn.Linear(config.vision_width, config.classes + 1)
        self.patch_color = nn.Linear(config.vision_width, config.colors)

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """-> cosines [B,T]."""
        image, _ = self.vision(pixel_values)
        text = self.text(input_ids, attention_mask)
        return F.normalize(image.float(), dim=-1) @ F.normalize(text.float(), dim=-1).T


def load_weights(model: DualEncoder, state: dict[str, Tensor]) -> None:
    """Loads a checkpoint; one trained without the quadrant means gets zero weights for them."""
    key = "vision.pool_up.weight"
    missing = model.vision.pool_up.in_features - state[key].shape[1]
    if missing > 0:
        state = {**state, key: F.pad(state[key], (0, missing))}
    model.load_state_dict(state)


def flops(config: ModelConfig, tokens: int | None = None) -> tuple[int, int]:
    """Forward FLOPs (2 per multiply-add, matrix products and convolutions only) -> (per image, per text)."""
    c = config
    s1, s2 = c.stem
    half, quarter, eighth = (c.image_size // 2) ** 2, (c.image_size // 4) ** 2, c.grid**2
    w = c.vision_width
    macs = half * 25 * 3 * s1 + quarter * (16 * s1 * s2 + 4 * 9 * s2 * s2) + eighth * (16 * s2 * w + 2 * 9 * w * w)

    def block(width: int, length: int) -> int:
        return length * width * width * (4 + 2 * c.mlp_ratio) + 2 * length * length * width

    macs += c.vision_layers * block(w, eighth + c.slots) + (c.slots + 4 * c.quadrants) * w * 2 * w + 2 * w * w + w * c.projection_dim
    length = tokens or c.context_length
    text = c.text_layers * block(c.text_width, length) + c.text_width * c.projection_dim
    return 2 * macs, 2 * text
