"""What a draft decoder for a released VAE learns from: the VAE itself, Infinity's scales, and a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.keys import vae_source
from ttsvar.infinity.official.resolutions import SQUARE_SIDES
from ttsvar.infinity.official.tensors import open_checkpoint
from ttsvar.infinity.vae import Vae, VaeConfig

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
RELEASED = {32: VaeConfig.official(32), 14: VaeConfig.official(14, (1, 2, 4, 4))}


def official_vae(path: Path, size: int, configs: dict[int, VaeConfig] = RELEASED) -> tuple[Vae, BitQuantizer]:
    """A released VAE and its quantiser for square pictures of ``size`` px."""
    source = open_checkpoint(path)
    names = ("decoder.conv_in.conv.weight", "decoder.conv_in.weight")
    channels = next((source.shapes[name][1] for name in names if name in source.shapes), 0)
    if channels not in configs:
        raise ExportError(f"{path} is a VAE with {channels} channels; known are {sorted(configs)}")
    vae = Vae(configs[channels])
    weights = vae_source(source, vae)
    vae.load_state_dict({name: weights.float32(name) for name in weights.shapes})
    side = size // configs[channels].stride
    patchify = channels == 14
    sides = [s * 2 if patchify else s for s in SQUARE_SIDES]
    if side not in sides:
        known = ", ".join(str(s * configs[channels].stride) for s in sides[4:])
        raise ExportError(f"--size {size} is no size of this VAE; sizes are {known}")
    grids = [(s, s) for s in sides if s <= side]
    return vae.eval().requires_grad_(False), BitQuantizer(channels, grids)


def _square(path: Path, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of the picture, between half and all of its shorter side."""
    image = Image.open(path).convert("RGB")
    side = int(min(image.size) * rng.uniform(0.5, 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, (left, top, left + side, top + side)))


def picture_batches(folder: Path, size: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """Random crops of a folder's pictures without end: uint8 ``[count, size, size, 3]``."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ExportError(f"{folder} has no pictures ({', '.join(sorted(SUFFIXES))})")
    rng = np.random.Generator(np.random.Philox(key=[seed, 0]))
    while True:
        yield np.stack([_square(paths[int(rng.integers(len(paths)))], size, rng) for _ in range(count)])
