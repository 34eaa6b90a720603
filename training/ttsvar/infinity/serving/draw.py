"""Bits from logit differences: the rule and the signals of ``src/generators/next-scale/draw-bits.ts``, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """Bits (uint8) of one candidate at one scale, with the signals that come for free.

    log_prob: of the bits, in nats, under the guided and tempered distribution before the nucleus rule;
    entropy: mean per bit of that distribution, in nats;
    guidance_gap: mean |conditional - unconditional|, 0 without the unconditional branch.
    """

    bits: np.ndarray
    log_prob: float
    entropy: float
    guidance_gap: float


def draw_bits(
    cond: np.ndarray,
    uncond: np.ndarray | None,
    guidance: float,
    temperature: float,
    top_p: float,
    uniforms: np.ndarray | None,
    forced: np.ndarray | None = None,
    top_k: int | None = None,
) -> Drawn:
    """Differences ``l(1) - l(0)`` ``[n]`` of both branches -> bits.

    The nucleus rule for two values: if the rarer one has probability <= 1 - top_p, the likelier one is taken. The bit
    at position p uses uniform p whatever was decided before. ``top_k`` 1 always takes the likelier value; ``forced``
    bits are taken instead of drawn ones.
    """
    delta, gap = cond.astype(np.float64), 0.0
    if uncond is not None:
        other = uncond.astype(np.float64)
        gap = float(np.abs(delta - other).mean())
        delta = guidance * delta + (1 - guidance) * other
    delta = delta / temperature
    if not np.isfinite(delta).all():
        position = int(np.flatnonzero(~np.isfinite(delta))[0])
        raise FloatingPointError(f"the logit at position {position} is {delta[position]}")
    size = np.abs(delta)
    tail = np.exp(-size)
    rare, cost = tail / (1 + tail), np.log1p(tail)
    likely = delta > 0
    if forced is not None:
        bits = forced.astype(bool)
    else:
        certain = 0.0 if top_k == 1 else math.log(top_p / (1 - top_p)) if top_p < 1 else math.inf
        bits = np.where(size >= certain, likely, uniforms < np.where(likely, 1 - rare, rare))
    log_prob = -float((cost + np.where(bits == likely, 0.0, size)).sum())
    return Drawn(bits.astype(np.uint8), log_prob, float((cost + size * rare).mean()), gap)
