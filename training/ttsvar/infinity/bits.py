"""Multi-scale residual sign quantiser: latent <-> bits, with Infinity's resizing rules.

Encoding (``flux/bsq`` multi-scale path of Infinity): for every scale the residual is *area*-downsampled, its
signs are the bits, the code ``+-magnitude`` is resized bilinearly (``align_corners=False``, no antialiasing) to
the last grid, subtracted from the residual and added to the cumulative code. The transformer's input for the
next scale is the cumulative code resized *bilinearly without antialiasing*, also when that is a downsampling.
Infinity's magnitude is the constant ``1/sqrt(d)``; a small VAE works better with one per scale and channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Grid = tuple[int, int]


def resize(x: Tensor, size: Grid) -> Tensor:
    """Bilinear resize ``[B, d, h, w]`` to ``size`` without antialiasing; identity if equal."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def reduce_area(x: Tensor, size: Grid) -> Tensor:
    """Area-downsample (adaptive average) ``[B, d, h, w]`` to ``size``; identity if equal."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.adaptive_avg_pool2d(x, tuple(size))


def tokens(x: Tensor) -> Tensor:
    """``[B, d, h, w]`` -> ``[B, h*w, d]``, row-major."""
    return x.flatten(2).transpose(1, 2)


def to_tokens(x: Tensor, patchify: bool = False) -> Tensor:
    """VAE grid ``[B, d, h, w]`` -> tokens ``[B, L, d]``, or ``[B, L/4, 4d]`` with 2x2 patches (channel c*4+2*dy+dx)."""
    return tokens(F.pixel_unshuffle(x, 2) if patchify else x)


def from_tokens(x: Tensor, grid: Grid, patchify: bool = False) -> Tensor:
    """Inverse of :func:`to_tokens` for a token grid ``(h, w)``."""
    x = x.transpose(1, 2).unflatten(2, tuple(grid))
    return F.pixel_shuffle(x.float(), 2) if patchify else x


@dataclass
class Encoded:
    """Result of quantising a latent.

    bits: per scale ``[B, d, h, w]`` bool, signs of the residual at that scale (the targets);
    cumulative: per scale ``[B, d, H, W]``, the code after that scale at the last grid;
    inputs: per scale except the first ``[B, h*w, d]``, transformer inputs.
    """

    bits: list[Tensor]
    cumulative: list[Tensor]
    inputs: list[Tensor]


class BitQuantizer(nn.Module):
    """Residual sign quantiser over ``grids`` (VAE grids) with ``magnitude`` ``[S, d]``."""

    magnitude: Tensor

    def __init__(self, dim: int, grids: Sequence[Grid], magnitude: Tensor | None = None):
        super().__init__()
        self.dim = dim
        self.grids = [tuple(g) for g in grids]
        if magnitude is None:
            magnitude = torch.full((len(self.grids), dim), dim**-0.5)
        self.register_buffer("magnitude", magnitude.float().clone())

    def code(self, bits: Tensor, scale: int) -> Tensor:
        """Bits ``[B, d, h, w]`` -> values ``+-magnitude`` of that scale."""
        return (bits.float() * 2 - 1) * self.magnitude[scale].view(1, -1, 1, 1)

    def contribution(self, bits: Tensor, scale: int) -> Tensor:
        """What the bits of a scale add to the cumulative code, at the last grid."""
        return resize(self.code(bits, scale), self.grids[-1])

    def next_input(self, cumulative: Tensor, scale: int) -> Tensor:
        """Input tokens ``[B, L, d]`` of scale ``scale`` from the cumulative code of the scales before."""
        return tokens(resize(cumulative, self.grids[scale]))

    @torch.no_grad()
    def encode(self, latent: Tensor, flip: Tensor | None = None, momentum: float = 0.0) -> Encoded:
        """Quantise ``latent`` ``[B, d, H, W]``.

        flip: probability ``[B]``, or by scale ``[S, B]``, of flipping each bit that is fed forward. Later residuals see the
        flipped code, so later targets correct the errors (Infinity's bitwise self-correction).
        momentum: if positive, update the magnitudes towards the mean absolute residual.
        """
        if flip is not None:
            flip = flip.expand(len(self.grids), len(latent))
        residual = latent.float()
        cumulative = torch.zeros_like(residual)
        out = Encoded([], [], [])
        for scale, grid in enumerate(self.grids):
            reduced = reduce_area(residual, grid)
            if momentum > 0:
                self.magnitude[scale].lerp_(reduced.abs().mean((0, 2, 3)), momentum)
            bits = reduced > 0
            out.bits.append(bits)
            if flip is not None:
                bits = bits ^ (torch.rand_like(reduced) < flip[scale].view(-1, 1, 1, 1))
            step = self.contribution(bits, scale)
            cumulative = cumulative + step
            residual = residual - step
            out.cumulative.append(cumulative)
            if scale + 1 < len(self.grids):
                out.inputs.append(self.next_input(cumulative, scale + 1))
        return out
