"""Sampling frame by frame in Python: the reference of the TypeScript sampler."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ttsvar.frames.model import FrameFlow, Pairs, to_bins
from ttsvar.latent.trunk import Prompt


def euler(x: Tensor, velocity: Callable[[Tensor, Tensor], Tensor], steps: int) -> Tensor:
    """From noise at time 1 to data at 0 in even steps."""
    for step in range(steps):
        x = x - velocity(x, torch.tensor([1 - step / steps])) / steps
    return x


def joined(past: Pairs, new: Pairs) -> Pairs:
    return [(torch.cat([a[0], b[0]], 2), torch.cat([a[1], b[1]], 2)) for a, b in zip(past, new)] if past else new


def remember(model: FrameFlow, frames: list[Tensor], prompt: Prompt, poses: Tensor | None) -> Pairs:
    """Keys and values of finished frames ``[B, 64, d]`` each: the last ones in full, those before in outline."""
    past: Pairs = []
    for index, frame in enumerate(frames):
        at, own = torch.tensor([index]), None if poses is None else poses[:, index]
        if index < len(frames) - model.short:
            new = model.outline_step(frame, at, prompt, own, past)
        else:
            new = model.step(frame, torch.tensor([-1.0]), at, prompt, own, past)[1]
        past = joined(past, new)
    return past


@torch.no_grad()
def sample(
    model: FrameFlow, groups: list[Prompt], batch: int, steps: int, guidance: float, seed: int, plan_steps: int = 16
) -> tuple[Tensor, Tensor | None]:
    """Tokens ``[batch, frames, 64, d]`` and plans ``[batch, 2F]`` of one prompt; ``groups``: the text, and none."""
    generator = torch.Generator().manual_seed(seed)
    plan = poses = None
    if model.plan:
        x = torch.randn(batch, 2 * model.frames, generator=generator)
        plan = euler(x, lambda x, t: model.planner(x, t, groups[0].sos), plan_steps)
        poses = to_bins(plan)
    frames: list[Tensor] = []
    for index in range(model.frames):
        at, own = torch.tensor([index]), None if poses is None else poses[:, index]
        pasts = [remember(model, frames, prompt, poses) for prompt in groups]

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            both = [model.step(x, t, at, p, own, past)[0] for p, past in zip(groups, pasts)]
            return both[0] if len(both) == 1 else both[1] + guidance * (both[0] - both[1])

        frames.append(euler(torch.randn(batch, 64, model.channels, generator=generator), velocity, steps))
    return torch.stack(frames, 1), plan
