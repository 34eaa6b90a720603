"""Pairs of scenes that differ by one edit: recolour, replace, add, remove or move one object.

Everything else is drawn from the same stamps at the same places, so outside the mask source and target are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ttsvar.world import CLASSES, World, layout
from ttsvar.world.vocabulary import COLOR_NAMES, with_article

KINDS = ("recolour", "replace", "add", "remove", "move")
SHARES = (0.24, 0.38, 0.13, 0.12, 0.13)
STEP = 16  # how far a moved object goes, in 1/64 of the side
_WAYS = {"left": (-STEP, 0), "right": (STEP, 0), "up": (0, -STEP), "down": (0, STEP)}


@dataclass(frozen=True)
class Thing:
    """A drawn object: class index, colour index or None (natural), centre and side."""

    cls: int
    color: int | None
    x: float
    y: float
    size: float


@dataclass
class Pair:
    """source, target: uint8 ``[S, S, 3]``; mask: bool, True where the two may differ."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    instruction: str
    kind: str
    before: list[Thing]
    after: list[Thing]


def _things(rng: np.random.Generator) -> list[Thing]:
    """One large object or two small ones side by side, as the embedded generator knows them."""
    count = 1 if rng.random() < 0.35 else 2
    classes = rng.choice(np.arange(1, len(CLASSES)), size=count, replace=False)
    colors = [int(rng.integers(10)) if rng.random() < 0.5 else None for _ in classes]
    if count == 1:
        return [Thing(int(classes[0]), colors[0], 32 + 8 * (int(rng.integers(3)) - 1), 32, layout.SINGLE)]
    y = 32 + (8 * (int(rng.integers(3)) - 1) if rng.random() < 0.3 else 0)
    return [Thing(int(c), color, x, y, layout.SMALL) for c, color, x in zip(classes, colors, (16, 48))]


def _name(thing: Thing, color: bool = False) -> str:
    return f"{COLOR_NAMES[thing.color]} {CLASSES[thing.cls]}" if color and thing.color is not None else CLASSES[thing.cls]


def _edit(things: list[Thing], kind: str, rng: np.random.Generator) -> tuple[list[Thing], list[Thing], str, int]:
    """Objects before and after, the instruction, and which object is meant."""
    i = int(rng.integers(len(things)))
    thing = things[i]
    if kind == "recolour":
        color = int(rng.choice([c for c in range(10) if c != thing.color]))
        after = replace(thing, color=color)
        text = f"make the {_name(thing)} {COLOR_NAMES[color]}"
    elif kind == "replace":
        others = [c for c in range(1, len(CLASSES)) if c not in [t.cls for t in things]]
        after = replace(thing, cls=int(rng.choice(others)), color=int(rng.integers(10)) if rng.random() < 0.3 else None)
        text = f"replace the {_name(thing)} with {with_article(_name(after, True))}"
    elif kind == "move":
        ways = [w for w, (dx, dy) in _WAYS.items() if (dy if thing.size == layout.SMALL else dx) and _inside(thing, dx, dy)]
        way = str(rng.choice(ways))
        after = replace(thing, x=thing.x + _WAYS[way][0], y=thing.y + _WAYS[way][1])
        text = f"move the {_name(thing)} {'to the ' if way in ('left', 'right') else ''}{way}"
    else:
        fewer = [t for j, t in enumerate(things) if j != i]
        if kind == "remove":
            return things, fewer, f"remove the {_name(thing)}", i
        side = "left" if thing.x < 32 else "right"
        return fewer, things, f"add {with_article(_name(thing, True))} to the {side}", i
    return things, [after if j == i else t for j, t in enumerate(things)], text, i


def _inside(thing: Thing, dx: int, dy: int) -> bool:
    half = thing.size / 2
    return half <= thing.x + dx <= 64 - half and half <= thing.y + dy <= 64 - half


def draw_pair(world: World, seed: int, index: int, kind: str | None = None) -> Pair:
    """Pair number ``index`` of a seed; it depends on nothing else."""
    rng = np.random.Generator(np.random.Philox(key=[seed, index]))
    drawn = str(rng.choice(KINDS, p=SHARES))
    kind = kind or drawn
    things = _things(rng)
    while kind in ("add", "remove") and len(things) < 2 or kind == "move" and len(things) == 1 and things[0].x == 32:
        things = _things(rng)
    before, after, text, _ = _edit(things, kind, rng)
    white = any(t.color == COLOR_NAMES.index("white") for t in (*before, *after))
    background = layout.plain_background(world.config.size, white, rng)
    (source, first), (target, second) = (_render(world, background, scene) for scene in (before, after))
    mask = (source != target).any(-1)
    for thing in {*before} ^ {*after}:
        for x0, y0, x1, y1 in (boxes[thing] for boxes in (first, second) if thing in boxes):
            mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
    return Pair(source, target, mask, text, kind, before, after)


def _render(world: World, background: np.ndarray, things: list[Thing]) -> tuple[np.ndarray, dict[Thing, tuple]]:
    image, boxes = background.copy(), {}
    for thing in things:
        drawing, paint = world._pick(thing.cls, thing.color, np.random.Generator(np.random.Philox(key=[1, 1])))
        boxes[thing], _ = world._paste(image, drawing, paint, layout.Place(thing.x, thing.y, thing.size), False, False)
    return image, boxes
