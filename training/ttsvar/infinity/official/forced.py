"""Given bits through the code arithmetic: the transformer's inputs at all scales, and the latent at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ttsvar.infinity.bits import BitQuantizer, from_tokens, resize, to_tokens
from ttsvar.infinity.schedule import Schedule


@dataclass
class Forced:
    """bits and inputs: per scale ``[B, L, dv]`` (bits uint8); latents: cumulative codes ``[B, d, H, W]`` after each."""

    bits: list[Tensor]
    inputs: list[Tensor]
    latents: list[Tensor]


def random_bits(schedule: Schedule, token_channels: int, count: int, seed: int) -> list[Tensor]:
    """Coin flips for ``count`` candidates, per scale ``[B, L, dv]`` uint8."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, 2, (count, length, token_channels), dtype=torch.uint8, generator=generator)
        for length in schedule.lengths
    ]


def force(schedule: Schedule, code_channels: int, bits: list[Tensor], scales: int | None = None) -> Forced:
    """Walk through the first ``scales`` scales (default: all) with the given bits."""
    quantizer = BitQuantizer(code_channels, schedule.vae_grids)
    count, _, token_channels = bits[0].shape
    latent = torch.zeros(count, code_channels, *schedule.vae_grids[-1])
    out = Forced([], [], [])
    for scale, chosen in enumerate(bits[:scales]):
        if scale == 0:
            z = torch.zeros(count, 1, token_channels)
        else:
            z = to_tokens(resize(latent, schedule.vae_grids[scale]), schedule.patchify)
        grid = from_tokens(chosen, schedule.scales[scale], schedule.patchify)
        if not schedule.patchify:
            grid = grid.float()
        latent = latent + quantizer.contribution(grid, scale)
        out.bits.append(chosen)
        out.inputs.append(z)
        out.latents.append(latent)
    return out
