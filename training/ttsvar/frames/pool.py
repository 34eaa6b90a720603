"""All frames of a world encoded once, and clips drawn from them.

    python -m ttsvar.frames.pool moving
    python -m ttsvar.frames.pool driving
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ttsvar.common.training import load_checkpoint, save_checkpoint
from ttsvar.frames import worlds
from ttsvar.frames.words import MotionTokenizer
from ttsvar.infinity.generator import pad
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import to_float
from ttsvar.latent.model import load_narrow

CHUNK = 128
PLACES = len(worlds.GRID)


def shape(world: str) -> tuple[int, ...]:
    """Frames of a world: things, colours, backgrounds, y, x."""
    if world == "moving":
        return len(worlds.CLASSES), len(worlds.COLORS), len(worlds.BACKGROUNDS), PLACES, PLACES
    return len(layouts()), len(worlds.CARS), len(worlds.ROADS), PLACES, PLACES


def layouts() -> list[tuple[str, str | None]]:
    """Where obstacles stand, whatever the goal."""
    return sorted({(road.near, road.far) for road in worlds.roads()}, key=str)


def paint(world: str) -> Iterator[np.ndarray]:
    painter = worlds.Painter()
    for thing, color, background, y, x in product(*map(range, shape(world))):
        if world == "moving":
            names = worlds.CLASSES[thing], worlds.COLORS[color], worlds.BACKGROUNDS[background]
            yield painter.moving(*names, x, y)
        else:
            road = worlds.Road("up", *layouts()[thing])
            yield painter.driving(road, worlds.CARS[color], worlds.ROADS[background], x, y)


class ClipPool:
    """Clips as narrow tokens ``[N, frames, 64, d]`` with the prompt's ids; driving ones also with plans."""

    def __init__(self, world: str, folder: Path | str = "checkpoints"):
        saved = load_checkpoint(Path(folder) / f"frames-{world}.pt")
        self.world, self.tokens = world, saved["tokens"].to(torch.get_default_device()).float()
        self.channels = self.tokens.shape[-1]
        self._tokenizer, self._ids = MotionTokenizer(), {}
        self._roads, self._layouts = worlds.roads(), layouts()

    def sample(self, size: int, rng: np.random.Generator, held_out: bool = False):  # noqa: ANN201
        """-> tokens, ids ``[N, T]``, plans in px ``[N, frames, 2]`` (driving) or None."""
        draw = self._moving if self.world == "moving" else self._driving
        clips = [draw(rng, held_out) for _ in range(size)]
        tokens = torch.stack([self.tokens[index] for index, _, _ in clips])
        plans = None if clips[0][2] is None else torch.tensor(np.stack([plan for _, _, plan in clips])).float()
        return tokens, pad([self.ids(text) for _, text, _ in clips]), plans

    def ids(self, text: str) -> list[int]:
        if text not in self._ids:
            self._ids[text] = self._tokenizer.encode(text)
        return self._ids[text]

    def _moving(self, rng: np.random.Generator, held_out: bool):  # noqa: ANN202
        while True:
            cls, color = int(rng.integers(len(worlds.CLASSES))), int(rng.integers(len(worlds.COLORS)))
            if worlds.held_out(cls, color) == held_out:
                break
        direction = list(worlds.DIRECTIONS)[int(rng.integers(4))]
        way = worlds.path(direction, int(rng.integers(PLACES)))
        background = int(rng.integers(len(worlds.BACKGROUNDS)))
        text = worlds.moving_prompt(worlds.CLASSES[cls], worlds.COLORS[color], direction)
        x, y = map(list, zip(*way))
        return (cls, color, background, y, x), text, None

    def _driving(self, rng: np.random.Generator, _: bool):  # noqa: ANN202
        road, color = self._roads[int(rng.integers(len(self._roads)))], int(rng.integers(len(worlds.CARS)))
        plan = worlds.draw_plan(road, rng)
        place = ((worlds.snap(plan) - worlds.GRID[0]) / 8).astype(int)
        background = int(rng.integers(len(worlds.ROADS)))
        thing = self._layouts.index((road.near, road.far))
        text = road.prompt(worlds.CARS[color])
        return (thing, color, background, place[:, 1].tolist(), place[:, 0].tolist()), text, plan


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("world", choices=("moving", "driving"))
    p.add_argument("--vae", default="checkpoints/vae.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    vae, narrow = load_vae(a.vae)[0], load_narrow(a.narrow)
    images = np.stack(list(paint(a.world)))
    tokens = []
    for part in np.split(images, range(CHUNK, len(images), CHUNK)):
        with torch.autocast("cpu", torch.bfloat16):
            wide = vae.encode(to_float(part))
        tokens.append(narrow.encode(wide.float()).flatten(2).transpose(1, 2).half())
        if len(tokens) % 20 == 0:
            print(len(tokens) * CHUNK, "of", len(images), flush=True)
    flat = torch.cat(tokens)
    save_checkpoint(a.out or Path(f"checkpoints/frames-{a.world}.pt"), {"tokens": flat.view(*shape(a.world), *flat.shape[1:])})


if __name__ == "__main__":
    main()
