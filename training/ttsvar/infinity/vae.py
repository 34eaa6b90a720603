"""Convolutional VAE with the module structure and parameter names of Infinity's BSQ-VAE.

Source: ``infinity/models/bsq_vae/flux_vqgan.py`` and ``conv.py`` of FoundationVision/Infinity (2-D case, no
attention, no KL). Widths, depths and the number of groups are configurable; the defaults of ``VaeConfig`` are the
embedded 64-px model, ``VaeConfig.official`` gives the released ones. With ``patch > 1`` pixels are folded into channels
before the encoder and unfolded after the decoder, which saves the levels where a small net spends most of its time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class VaeConfig:
    """``encoder_blocks``/``decoder_blocks``: residual blocks per level, finest level first."""

    channels: int = 32
    base: int = 16
    encoder_mult: tuple[int, ...] = (1, 2, 6, 12)
    decoder_mult: tuple[int, ...] = (1, 3, 6, 12)
    encoder_blocks: tuple[int, ...] = (0, 1, 1, 1)
    decoder_blocks: tuple[int, ...] = (1, 1, 2, 2)
    encoder_mid: int = 1
    decoder_mid: int = 1
    groups: int = 8
    patch: int = 1

    @staticmethod
    def official(channels: int = 32, mult: tuple[int, ...] = (1, 2, 4, 4, 4)) -> VaeConfig:
        """The released configurations: ``d32`` (stride 16) or ``channels=14, mult=(1, 2, 4, 4)`` (stride 8)."""
        n = len(mult)
        return VaeConfig(channels, 128, mult, mult, (2,) * n, (3,) * n, 2, 2, 32)

    @property
    def stride(self) -> int:
        return self.patch * 2 ** (len(self.encoder_mult) - 1)

    def asdict(self) -> dict:
        return asdict(self)


class Conv(nn.Module):
    """Convolution nested under ``.conv`` as in Infinity's checkpoints."""

    def __init__(self, i: int, o: int, kernel: int = 3, stride: int = 1, padding: int | None = None):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, kernel // 2 if padding is None else padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Norm(nn.Module):
    """GroupNorm nested under ``.norm``."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class ResnetBlock(nn.Module):
    """``skip(x) + conv2(swish(norm2(conv1(swish(norm1(x))))))`` with a 1x1 skip if the width changes."""

    def __init__(self, i: int, o: int, groups: int):
        super().__init__()
        self.norm1, self.conv1 = Norm(i, groups), Conv(i, o)
        self.norm2, self.conv2 = Norm(o, groups), Conv(o, o)
        if i != o:
            self.nin_shortcut = Conv(i, o, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class Downsample(nn.Module):
    """Pad right and bottom by one, 3x3 convolution with stride 2."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv(channels, channels, 3, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest x2, then a 3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _level(widths: list[int], count: int, groups: int, resample: nn.Module | None, name: str) -> nn.Module:
    level = nn.Module()
    level.block = nn.ModuleList(
        ResnetBlock(widths[0] if j == 0 else widths[1], widths[1], groups) for j in range(count)
    )
    if resample is not None:
        level.add_module(name, resample)
    return level


def _middle(width: int, count: int, groups: int) -> nn.Module:
    mid = nn.Module()
    for j in range(count):
        mid.add_module(f"block_{j + 1}", ResnetBlock(width, width, groups))
    return mid


class Encoder(nn.Module):
    """Image ``[B, 3, H, W]`` in [-1, 1] -> features ``[B, d, H/stride, W/stride]``."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = [config.base * m for m in config.encoder_mult]
        self.patch = config.patch
        self.conv_in = Conv(3 * config.patch**2, widths[0])
        self.down = nn.ModuleList()
        width = widths[0]
        for level, out in enumerate(widths):
            count = config.encoder_blocks[level]
            if count == 0:
                out = width
            last = level == len(widths) - 1
            down = None if last else Downsample(out)
            self.down.append(_level([width, out], count, config.groups, down, "downsample"))
            width = out
        self.mid = _middle(width, config.encoder_mid, config.groups)
        self.norm_out = Norm(width, config.groups)
        self.conv_out = Conv(width, config.channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last)
        h = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                h = block(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
        for block in self.mid.children():
            h = block(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
    """Latent ``[B, d, h, w]`` -> image ``[B, 3, h*stride, w*stride]`` (not clamped)."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        widths = [config.base * m for m in config.decoder_mult]
        width = widths[-1]
        self.conv_in = Conv(config.channels, width)
        self.mid = _middle(width, config.decoder_mid, config.groups)
        levels: list[nn.Module] = []
        for level in reversed(range(len(widths))):
            count = config.decoder_blocks[level]
            up = None if level == 0 else Upsample(widths[level])
            levels.insert(0, _level([width, widths[level]], count, config.groups, up, "upsample"))
            width = widths[level]
        self.up = nn.ModuleList(levels)
        self.norm_out = Norm(width, config.groups)
        self.patch = config.patch
        self.conv_out = Conv(width, 3 * config.patch**2)

    def forward(self, z: Tensor) -> Tensor:
        h = self.conv_in(z)
        for block in self.mid.children():
            h = block(h)
        for level in reversed(self.up):
            for block in level.block:
                h = block(h)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        h = self.conv_out(F.silu(self.norm_out(h)))
        return F.pixel_shuffle(h, self.patch) if self.patch > 1 else h


class Vae(nn.Module):
    """Encoder and decoder; quantisation lives in :mod:`ttsvar.infinity.bits`."""

    def __init__(self, config: VaeConfig | None = None):
        super().__init__()
        self.config = config or VaeConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(self, image: Tensor) -> Tensor:
        return self.encoder(image)

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent).clamp(-1, 1)


def to_float(images) -> Tensor:  # noqa: ANN001
    """uint8 ``[B, H, W, 3]`` (numpy) -> float ``[B, 3, H, W]`` in [-1, 1], channels-last memory."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    return x.to(memory_format=torch.channels_last).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """float ``[B, 3, H, W]`` in [-1, 1] -> uint8 ``[B, H, W, 3]``; truncates like Infinity's sampler."""
    return ((images.clamp(-1, 1) + 1) / 2 * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
