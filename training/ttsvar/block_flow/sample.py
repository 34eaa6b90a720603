"""Sampling by cells in Python: the reference of the TypeScript sampler."""

from __future__ import annotations

import torch
from torch import Tensor

from ttsvar.block_flow.model import CELL, BlockFlow, cells
from ttsvar.latent.trunk import Prompt


def times(steps: int) -> list[float]:
    """From noise to .04 evenly, then 0 (xAR)."""
    return [1 - 0.96 * i / (steps - 1) for i in range(steps)] + [0.0] if steps > 1 else [1.0, 0.0]


def solver_step(x: Tensor, velocity: Tensor, time: float, target: float, fresh: Tensor | None) -> Tensor:
    """Euler-Maruyama with ``fresh`` noise (``d = (2 - t) v + x``), except for the last step; without it Euler's step."""
    step = target - time
    if fresh is None:
        return x + velocity * step
    drift = (2 - time) * velocity + x
    return x + drift * step + ((2 * time * -step) ** 0.5 * fresh if target > 0 else 0)


@torch.no_grad()
def sample(
    model: BlockFlow, groups: list[Prompt], batch: int, steps: int, guidance: float, stochastic: bool, seed: int
) -> Tensor:
    """Tokens ``[batch, 64, d]`` row-major of one prompt; ``groups``: the text, and what guidance leads away from."""
    generator = torch.Generator().manual_seed(seed)
    order, rope, schedule = cells(), model.rope(), times(steps)
    size = CELL * CELL
    pasts: list[list] = [[] for _ in groups]
    out = torch.zeros(batch, 64, model.channels)
    for cell in range(len(order)):
        tables = tuple(table[cell * size : (cell + 1) * size] for table in rope)
        weight = 1 + (guidance - 1) * cell / (len(order) - 1)
        x = torch.randn(batch, size, model.channels, generator=generator)
        for time, target in zip(schedule, schedule[1:]):
            at = torch.tensor([time])
            both = [model.step(x[None], at, p, tables, past)[0][0] for p, past in zip(groups, pasts)]
            velocity = both[0] if len(both) == 1 else both[1] + weight * (both[0] - both[1])
            fresh = torch.randn(x.shape, generator=generator) if stochastic else None
            x = solver_step(x, velocity, time, target, fresh)
        out[:, order[cell]] = x
        for index, prompt in enumerate(groups):
            new = model.step(x[None], torch.tensor([0.0]), prompt, tables, pasts[index])[1]
            old = pasts[index]
            pasts[index] = [
                (torch.cat([o[0], n[0]], 2), torch.cat([o[1], n[1]], 2)) for o, n in zip(old, new)
            ] if old else new  # fmt: skip
    return out
