"""Bits of every scale on their own (FlexVAR, section 3.1): signs of the latent, area-resized to that scale.

A deviation from FlexVAR's codebook of 8,912 entries: 32 signs a token, as the embedded generator has. Any grid is a
scale. The transformer's input for the next grid is this scale's code, resized; nothing is accumulated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ttsvar.infinity.bits import Grid, reduce_area, resize, tokens


def magnitudes(latents: Tensor, sides: int = 8) -> Tensor:
    """Mean absolute value of each channel after area-resizing to 1x1 .. ``sides``, ``[sides, d]``."""
    return torch.stack([reduce_area(latents.float(), (s, s)).abs().mean((0, 2, 3)) for s in range(1, sides + 1)])


def magnitude_of(table: Tensor, grid: Grid) -> Tensor:
    """``[d]``: the square with the nearest number of cells decides."""
    side = min(range(1, len(table) + 1), key=lambda s: (abs(s * s - grid[0] * grid[1]), s))
    return table[side - 1]


def code(bits: Tensor, table: Tensor) -> Tensor:
    """Bits ``[B, d, h, w]`` -> values ``+-magnitude``."""
    return (bits.float() * 2 - 1) * magnitude_of(table, tuple(bits.shape[-2:])).view(1, -1, 1, 1)


def encode(latent: Tensor, grids: list[Grid], table: Tensor, flip: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
    """Latent ``[B, d, H, W]`` -> bits ``[B, d, h, w]`` by scale, and the inputs ``[B, L, d]`` of all but the first.

    flip: per-sample probability of a wrong bit in what is fed forward; the targets stay right.
    """
    all_bits, inputs = [], []
    for i, grid in enumerate(grids):
        bits = reduce_area(latent.float(), grid) > 0
        all_bits.append(bits)
        if i + 1 < len(grids):
            fed = bits if flip is None else bits ^ (torch.rand(bits.shape) < flip.view(-1, 1, 1, 1))
            inputs.append(tokens(resize(code(fed, table), grids[i + 1])))
    return all_bits, inputs
