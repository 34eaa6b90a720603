"""Endless training batches from a fixed mixture of worlds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...world import ObjectTruth, World, WorldConfig
from .augment import AugmentConfig, augment, hybrids
from .targets import Targets, make_targets

# (share, config): about 60 % of the objects are the generator's drawing, the rest all other trainable drawings.
MIXTURE: tuple[tuple[float, dict], ...] = (
    (0.25, dict(split="generator", drawings=1, layout="snapped", backgrounds="plain")),
    (0.40, dict(split="verifier", layout="snapped", backgrounds="plain")),
    (0.15, dict(split="verifier", layout="free", backgrounds="plain")),
    (0.20, dict(split="verifier", layout="free", backgrounds="varied")),
)


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 [B, S, S, 3] -> f32 [B, 3, S, S] in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def training_seeds(seed: int) -> list[int]:
    """Of the scenes that a recipe with ``seed`` trains on."""
    return [seed * 16 + i for i in range(len(MIXTURE))]


class TrainingData:
    """Batch number k depends only on (seed, k)."""

    def __init__(self, size: int, batch: int, seed: int, augmentation: AugmentConfig) -> None:
        pairs = zip(training_seeds(seed), MIXTURE, strict=True)
        self.worlds = [World(WorldConfig(size=size, **kw), each) for each, (_, kw) in pairs]
        shares = np.array([share for share, _ in MIXTURE])
        counts = np.floor(shares * batch).astype(int)
        counts[0] += batch - counts.sum()
        self.counts = counts.tolist()
        self.size, self.batch, self.seed, self.augmentation = size, batch, seed, augmentation

    def __call__(self, k: int) -> tuple[Tensor, Targets]:
        images: list[np.ndarray] = []
        objects: list[list[ObjectTruth]] = []
        for world, count in zip(self.worlds, self.counts):
            part = world.batch(k * count, count)
            images.append(part.images)
            objects.extend(s.objects for s in part.scenes)
        g = torch.Generator().manual_seed(self.seed * 1_000_003 + k)
        x = to_tensor(np.concatenate(images))
        target = make_targets(objects, self.size)
        flat = self.batch - self.counts[-1]  # the last part has varied backgrounds
        singles = [i for i, o in enumerate(objects[:flat]) if len(o) == 1 and _centred(o[0], self.size)]
        hybrids(x, target, torch.tensor(singles), self.augmentation.hybrid, g)
        return augment(x, self.augmentation, g), target


def _centred(truth: ObjectTruth, size: int) -> bool:
    """Whether a cut through the image's middle cuts the object roughly in half."""
    x0, y0, x1, y1 = truth.box
    near = 0.07 * size
    return abs((x0 + x1) / 2 - size / 2) < near and abs((y0 + y1) / 2 - size / 2) < near
