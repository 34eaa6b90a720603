"""A pool of rendered scene pairs on disk: python -m ttsvar.verifiers.dual_encoder.pool --chunks 24

Drawing free scenes costs more than a training step, so pairs are drawn once and met again in later epochs with
other captions, other text negatives and other augmentation. Pair number i depends only on (seed, i).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttsvar.world import SceneSpec, World, WorldConfig, sample_spec
from ttsvar.world.paths import CACHE

from .specs import compatible, random_edit

FOLDER = CACHE / "dual-encoder"
PAIRS_PER_CHUNK = 1000
SEED = 20_240_611
CLASSES_COUNT, GRID = 80, 8

GENERATOR = WorldConfig()
FREE = WorldConfig(drawings=None, layout="free", backgrounds="varied", split="verifier")
SNAPPED = WorldConfig(drawings=None, layout="snapped", backgrounds="plain", split="verifier")
WORLDS: tuple[tuple[WorldConfig, float], ...] = ((GENERATOR, 0.5), (FREE, 0.35), (SNAPPED, 0.15))


@dataclass
class Pool:
    """images u8 [2P,S,S,3]; rows 2i and 2i+1 differ in one thing; classes, colors i8 [2P,G*G] (-1 = unknown)."""

    images: np.ndarray
    specs: list[SceneSpec]
    classes: np.ndarray
    colors: np.ndarray


def patch_labels(boxes: list, classes: int, size: int, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """boxes: (class, colour or None, (x0,y0,x1,y1)) of one scene -> class (``classes`` = background) and colour
    (-1 = none asked) of every cell, i8 [grid*grid] each."""
    cls = np.full((grid, grid), classes, np.int8)
    col = np.full((grid, grid), -1, np.int8)
    cell = size / grid
    for c, color, (x0, y0, x1, y1) in boxes:
        # Cells whose centre lies in the box, and always the one that holds the centre of the box.
        left, top = int(np.ceil(x0 / cell - 0.5)), int(np.ceil(y0 / cell - 0.5))
        right, bottom = int(np.ceil(x1 / cell - 0.5)), int(np.ceil(y1 / cell - 0.5))
        cx, cy = min(grid - 1, int((x0 + x1) / 2 / cell)), min(grid - 1, int((y0 + y1) / 2 / cell))
        left, right = min(left, cx), max(right, cx + 1)
        top, bottom = min(top, cy), max(bottom, cy + 1)
        cls[top:bottom, left:right] = c
        col[top:bottom, left:right] = -1 if color is None else color
    return cls.reshape(-1), col.reshape(-1)


def spec_pair(rng: np.random.Generator) -> tuple[SceneSpec, SceneSpec]:
    """Two specs that differ in one thing and cannot both hold for one image."""
    while True:
        a = sample_spec(rng)
        b = random_edit(a, rng)
        if not compatible(a, b):
            return a, b


def draw_chunk(worlds: list[World], seed: int, chunk: int, pairs: int = PAIRS_PER_CHUNK) -> Pool:
    """Pairs chunk*pairs .. (chunk+1)*pairs - 1."""
    shares = np.cumsum([share for _, share in WORLDS])
    images, specs, classes, colors = [], [], [], []
    for number in range(chunk * pairs, (chunk + 1) * pairs):
        rng = np.random.Generator(np.random.Philox(key=[seed, 10_000_000 + number]))
        pair = spec_pair(rng)
        world = worlds[min(int(np.searchsorted(shares, rng.random(), side="right")), len(worlds) - 1)]
        same = rng.random() < 0.5  # same place and background: only the edit tells the two apart
        for k, spec in enumerate(pair):
            scene = world.scene(2 * number + (0 if same else k), spec)
            boxes = [(o.cls, o.color, o.box) for o in scene.objects]
            cls, col = patch_labels(boxes, CLASSES_COUNT, world.config.size, GRID)
            images.append(scene.image)
            specs.append(spec)
            classes.append(cls)
            colors.append(col)
    return Pool(np.stack(images), specs, np.stack(classes), np.stack(colors))


def build(folder: Path, chunks: int, seed: int = SEED) -> None:
    """Draws the chunks that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    worlds = [World(config, seed + k) for k, (config, _) in enumerate(WORLDS)]
    for chunk in range(chunks):
        target = folder / f"{seed}-{chunk:03d}.npz"
        if target.exists():
            continue
        pool = draw_chunk(worlds, seed, chunk)
        specs = json.dumps([[s.tag, s.objects, s.relation] for s in pool.specs])
        temporary = target.with_name(target.stem + ".part.npz")
        np.savez(temporary, images=pool.images, classes=pool.classes, colors=pool.colors, specs=np.array(specs))
        temporary.rename(target)
        print(target.name, flush=True)


def load(folder: Path, chunks: int, seed: int = SEED) -> Pool:
    """All chunks in memory (12 KB an image)."""
    parts = [np.load(folder / f"{seed}-{chunk:03d}.npz") for chunk in range(chunks)]
    specs = [
        SceneSpec(tag, tuple((name, color) for name, color in objects), relation)
        for part in parts
        for tag, objects, relation in json.loads(str(part["specs"]))
    ]
    join = lambda key: np.concatenate([part[key] for part in parts])  # noqa: E731
    return Pool(join("images"), specs, join("classes"), join("colors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=24)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    build(args.folder, args.chunks)


if __name__ == "__main__":
    main()
