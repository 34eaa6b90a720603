"""The tokenizer around the quantiser: encoder, decoder and the two 3x3 convolutions, under the released names.

Source: ``models/basic_vae.py`` and ``models/vqvae.py`` of FoundationVision/VAR (the layout of latent diffusion's vq-f16 with
attention at the lowest level). The embedded tokenizer has the encoder and decoder of :mod:`ttsvar.infinity.vae` instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity.vae import Decoder as SmallDecoder
from ttsvar.infinity.vae import Encoder as SmallEncoder
from ttsvar.infinity.vae import VaeConfig
from ttsvar.var.quantiser import ResidualQuantiser

OFFICIAL_MULT = (1, 1, 2, 2, 4)


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class Residual(nn.Module):
    def __init__(self, i: int, o: int):
        super().__init__()
        self.norm1, self.conv1 = norm(i), nn.Conv2d(i, o, 3, padding=1)
        self.norm2, self.conv2 = norm(o), nn.Conv2d(o, o, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.nin_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Single-head attention over all cells."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).chunk(3, 1)
        weights = ((q.transpose(1, 2) @ k) * x.shape[1] ** -0.5).softmax(-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view_as(x))


class Down(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _level(i: int, o: int, count: int, lowest: bool) -> nn.Module:
    level = nn.Module()
    level.block = nn.ModuleList(Residual(i if j == 0 else o, o) for j in range(count))
    level.attn = nn.ModuleList(Attention(o) for _ in range(count if lowest else 0))
    return level


def _middle(width: int) -> nn.Module:
    mid = nn.Module()
    mid.block_1, mid.attn_1, mid.block_2 = Residual(width, width), Attention(width), Residual(width, width)
    return mid


def _run(level: nn.Module, h: Tensor) -> Tensor:
    for j, block in enumerate(level.block):
        h = block(h)
        if len(level.attn):
            h = level.attn[j](h)
    return h


class Encoder(nn.Module):
    def __init__(self, base: int, mult: Sequence[int], channels: int):
        super().__init__()
        self.conv_in = nn.Conv2d(3, base, 3, padding=1)
        self.down, width = nn.ModuleList(), base
        for i, m in enumerate(mult):
            lowest = i == len(mult) - 1
            level = _level(width, base * m, 2, lowest)
            width = base * m
            if not lowest:
                level.downsample = Down(width)
            self.down.append(level)
        self.mid = _middle(width)
        self.norm_out, self.conv_out = norm(width), nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level in self.down:
            h = _run(level, h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    def __init__(self, base: int, mult: Sequence[int], channels: int):
        super().__init__()
        width = base * mult[-1]
        self.conv_in = nn.Conv2d(channels, width, 3, padding=1)
        self.mid = _middle(width)
        levels: list[nn.Module] = []
        for i in reversed(range(len(mult))):
            level = _level(width, base * mult[i], 3, i == len(mult) - 1)
            width = base * mult[i]
            if i:
                level.upsample = Up(width)
            levels.insert(0, level)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = norm(width), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(self.conv_in(z))))
        for level in reversed(self.up):
            h = _run(level, h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class VqVae(nn.Module):
    """Image <-> indices. ``small``: the embedded encoder and decoder, and no convolutions around the quantiser."""

    def __init__(
        self, vocabulary: int = 4096, channels: int = 32, base: int = 160, sides: Sequence[int] = (), small: VaeConfig | None = None
    ):
        super().__init__()
        self.small = small
        if small:
            self.encoder, self.decoder = SmallEncoder(small), SmallDecoder(small)
            self.quant_conv, self.post_quant_conv = nn.Identity(), nn.Identity()
        else:
            self.encoder, self.decoder = Encoder(base, OFFICIAL_MULT, channels), Decoder(base, OFFICIAL_MULT, channels)
            self.quant_conv = nn.Conv2d(channels, channels, 3, padding=1)
            self.post_quant_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.quantize = ResidualQuantiser(vocabulary, channels, sides)

    @property
    def stride(self) -> int:
        return self.small.stride if self.small else 2 ** (len(OFFICIAL_MULT) - 1)

    def encode(self, image: Tensor) -> Tensor:
        """Image ``[B, 3, H, W]`` in [-1, 1] -> continuous latent ``[B, d, h, w]``."""
        return self.quant_conv(self.encoder(image))

    def decode(self, code: Tensor) -> Tensor:
        """Code ``[B, d, h, w]`` -> image in [-1, 1]."""
        return self.decoder(self.post_quant_conv(code)).clamp(-1, 1)


def load_official(vae: VqVae, state: dict[str, Tensor]) -> None:
    """Load a released tokenizer strictly; the record of code usage is not part of the model."""
    vae.load_state_dict({k: v for k, v in state.items() if k != "quantize.ema_vocab_hit_SV"}, strict=True)
