"""Training data of the embedded class-conditional model: scenes of one object, labelled by its class."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ttsvar.infinity.vae import to_float
from ttsvar.world import CLASSES, World, world_config
from ttsvar.world.spec import sample_spec_of

PAINTED = 0.0  # share of objects in one of the ten colours; the label does not tell which
_INDEX = {name: i for i, name in enumerate(CLASSES)}


def draw(world: World, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scenes ``start ..``: uint8 ``[count, S, S, 3]`` and labels ``[count]``."""
    rng = np.random.Generator(np.random.Philox(key=[world.seed + 55_555, start]))
    tags = ["colors" if rng.random() < PAINTED else "single_object" for _ in range(count)]
    batch = world.batch(start, count, [sample_spec_of(tag, rng) for tag in tags])
    return batch.images, np.array([_INDEX[scene.spec.objects[0][0]] for scene in batch.scenes])


def batch(world: World, start: int, count: int) -> tuple[Tensor, Tensor]:
    """The same as float images ``[count, 3, S, S]`` in [-1, 1] and int64 labels."""
    images, labels = draw(world, start, count)
    return to_float(images), torch.from_numpy(labels)


def world(seed: int, size: int = 64) -> World:
    return World(world_config(size), seed)
