"""Draft decoder: pictures good enough to look at during a search, for a few per cent of the VAE decoder's FLOPs.

A small convolutional decoder without normalisation (residual blocks, pixel-shuffle upsampling), distilled from the full
one on codes truncated after any scale, so that early looks are as familiar to it as late ones. The role of the cheap half
of Layton's two-quality decoder; the structure is that of the tiny autoencoders in common use for previews.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity.vae import VaeConfig


@dataclass(frozen=True)
class DraftConfig:
    """``widths``, ``blocks``: channels and residual blocks by level, coarsest first; the stride is 2 ** levels."""

    channels: int = 32
    widths: tuple[int, ...] = (64, 32, 16)
    blocks: tuple[int, ...] = (2, 3, 2)

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"{len(self.widths)} widths, but {len(self.blocks)} numbers of blocks")

    @staticmethod
    def of(vae: VaeConfig) -> DraftConfig:
        """The one that fits a VAE: finer levels get fewer channels."""
        levels = vae.stride.bit_length() - 1
        widths = tuple(max(8, 64 >> level) for level in range(levels))
        return DraftConfig(vae.channels, widths, tuple(3 if level == 1 else 2 for level in range(levels)))

    @property
    def stride(self) -> int:
        return 2 ** len(self.widths)

    def asdict(self) -> dict:
        return asdict(self)


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class DraftDecoder(nn.Module):
    """Latent ``[B, d, h, w]`` -> image ``[B, 3, h*stride, w*stride]`` (not clamped)."""

    def __init__(self, config: DraftConfig | None = None):
        super().__init__()
        self.config = config or DraftConfig()
        widths = self.config.widths
        self.conv_in = nn.Conv2d(self.config.channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList()
        for width, out, blocks in zip(widths, (*widths[1:], 3), self.config.blocks):
            level = nn.ModuleList(Residual(width) for _ in range(blocks))
            level.append(nn.Conv2d(width, 4 * out, 3, padding=1))
            self.levels.append(level)

    def forward(self, latent: Tensor) -> Tensor:
        h = self.conv_in(latent)
        for *blocks, up in self.levels:
            for block in blocks:
                h = block(h)
            h = F.pixel_shuffle(up(F.silu(h)), 2)
        return h

    def decode(self, latent: Tensor) -> Tensor:
        return self(latent).clamp(-1, 1)
