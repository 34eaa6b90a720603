"""Image degradations: the detectors must judge slightly blurry generated images, not only crisp scenes.

All functions take and return f32 [B, 3, S, S] in 0..1 and keep object positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .targets import Targets


@dataclass(frozen=True)
class AugmentConfig:
    """Each share is the part of the images that gets this degradation (they combine)."""

    rescale: float = 0.30
    rescale_min: float = 0.42
    blur: float = 0.20
    noise: float = 0.50
    noise_max: float = 0.08
    dct: float = 0.20
    tone: float = 0.40
    warp: float = 0.20
    warp_px: float = 1.0
    fade: float = 0.0
    hybrid: float = 0.06


def rescale(x: Tensor, factor: float) -> Tensor:
    """Down and up again: loses detail like a coarse latent does."""
    size = x.shape[-1]
    small = F.interpolate(x, size=max(8, round(size * factor)), mode="bilinear", antialias=True)
    return F.interpolate(small, size=size, mode="bicubic").clamp(0, 1)


def blur(x: Tensor, sigma: float) -> Tensor:
    """3x3 Gaussian blur."""
    side = math.exp(-0.5 / sigma**2)
    k = torch.tensor([side, 1.0, side]) / (1 + 2 * side)
    kernel = (k[:, None] * k[None]).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)


def _dct_matrix(n: int = 8) -> Tensor:
    k = torch.arange(n, dtype=torch.float32)
    m = torch.cos(math.pi / n * (k[None] + 0.5) * k[:, None]) * math.sqrt(2 / n)
    m[0] /= math.sqrt(2)
    return m


def dct_quantise(x: Tensor, step: float) -> Tensor:
    """JPEG-like: 8x8 block DCT, coefficients rounded to steps that grow with frequency."""
    b, c, s, _ = x.shape
    d = _dct_matrix()
    blocks = x.reshape(b, c, s // 8, 8, s // 8, 8).permute(0, 1, 2, 4, 3, 5)
    f = torch.arange(8, dtype=torch.float32)
    steps = step * (1 + 0.4 * (f[None] + f[:, None]))
    coefficients = torch.round((d @ blocks @ d.T) / steps) * steps
    return (d.T @ coefficients @ d).permute(0, 1, 2, 4, 3, 5).reshape(b, c, s, s).clamp(0, 1)


def warp(x: Tensor, px: float, g: torch.Generator) -> Tensor:
    """Smooth random displacement of at most about `px` pixels (wobbly outlines)."""
    b, _, s, _ = x.shape
    flow = torch.randn(b, 2, 8, 8, generator=g) * (px * 2 / s) * 0.6
    flow = F.interpolate(flow, size=s, mode="bicubic").permute(0, 2, 3, 1)
    axis = (torch.arange(s) + 0.5) * 2 / s - 1
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    return F.grid_sample(x, grid + flow, padding_mode="border", align_corners=False)


def augment(x: Tensor, config: AugmentConfig, g: torch.Generator) -> Tensor:
    """Random degradations; deterministic given the generator."""
    n = x.shape[0]

    def some(share: float) -> Tensor:
        return torch.randperm(n, generator=g)[: int(round(n * share))]

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=g).item()

    x = x.clone()
    if len(rows := some(config.warp)):
        x[rows] = warp(x[rows], config.warp_px, g)
    for part in some(config.rescale).chunk(2):
        if len(part):
            x[part] = rescale(x[part], uniform(config.rescale_min, 0.95))
    if config.fade and len(rows := some(config.fade)):
        # Towards the low-pass image: what an autoencoder does to detail it could not afford.
        strength = 0.7 * torch.rand(len(rows), 1, 1, 1, generator=g)
        x[rows] = torch.lerp(x[rows], rescale(x[rows], 0.2), strength)
    if len(rows := some(config.blur)):
        x[rows] = blur(x[rows], uniform(0.4, 0.9))
    if len(rows := some(config.dct)):
        x[rows] = dct_quantise(x[rows], uniform(0.02, 0.15))
    if len(rows := some(config.tone)):
        gain = 1 + 0.12 * (torch.rand(len(rows), 1, 1, 1, generator=g) * 2 - 1)
        offset = 0.06 * torch.randn(len(rows), 3, 1, 1, generator=g) * 0.5
        x[rows] = x[rows] * gain + offset
    if len(rows := some(config.noise)):
        sigma = torch.rand(len(rows), 1, 1, 1, generator=g) * config.noise_max
        x[rows] += torch.randn(len(rows), *x.shape[1:], generator=g) * sigma
    return x.clamp(0, 1)


def hybrids(x: Tensor, target: Targets, singles: Tensor, share: float, g: torch.Generator) -> None:
    """In place: fuses pairs of one-object images along a line through the middle and clears their labels.

    A generator's typical failure is a chimera of two classes; a detector that never saw one calls it either class.
    singles: indices of images with one large centred object on a flat background; the background of the first
    partner is kept, so the seam is inside the object only.
    """
    n = min(int(round(x.shape[0] * share)), len(singles) - 1)
    if n < 1:
        return
    order = singles[torch.randperm(len(singles), generator=g)]
    rows, partners = order[:n], order[1 : n + 1]
    same = target.heat[rows].amax((2, 3)).argmax(1) == target.heat[partners].amax((2, 3)).argmax(1)
    rows, partners = rows[~same], partners[~same]
    if not len(rows):
        return
    size = x.shape[-1]
    axis = torch.arange(size) + 0.5 - size / 2
    angle = torch.rand(len(rows), 1, 1, generator=g) * 2 * math.pi
    side = (torch.cos(angle) * axis[None, None] + torch.sin(angle) * axis[None, :, None]) > 0
    ground, other_ground = x[rows][:, :, :1, :1], x[partners][:, :, :1, :1]
    object_only = (x[partners] - other_ground).abs().amax(1, keepdim=True) > 0.04
    other = torch.where(object_only, x[partners], ground.expand_as(x[partners]))
    x[rows] = torch.where(side[:, None], x[rows], other)
    target.heat[rows] = 0
    target.weight[rows] = 0
