"""Where objects go and what is behind them.

All lengths are in units of 1/64 of the image side and scale with it. "snapped" puts objects on a coarse grid at
one size per object count: jitter below the cell of a latent grid would change every code of the latent, and a small
generator would spend its capacity on it. "free" jitters positions and sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spec import SceneSpec
from .vocabulary import RELATIONS

PALE: np.ndarray = np.array(
    [(244, 244, 240), (190, 214, 236), (198, 226, 196), (242, 216, 184), (214, 200, 232), (168, 178, 192)], np.uint8
)
# A white object needs a background it can be seen on: never PALE[0], mostly the darkest.
_PALE_FOR_WHITE = np.cumsum([0.0, 0.2, 0.15, 0.1, 0.15, 0.4])

SINGLE, SMALL = 40, 24
_QUADRANTS = ((16, 16), (48, 16), (16, 48), (48, 48))
_TRIANGLE = ((16, 16), (48, 16), (32, 48))


@dataclass(frozen=True)
class Place:
    """Centre and side of an object's size box, in 1/64 of the image side."""

    x: float
    y: float
    size: float


def _relation(spec: SceneSpec, rng: np.random.Generator) -> str:
    """The asked relation; otherwise side by side in 80 % of the scenes, either order."""
    if spec.relation:
        return spec.relation
    u = rng.random()
    return RELATIONS[0 if u < 0.4 else 1 if u < 0.8 else 2 if u < 0.9 else 3]


def _pair(relation: str, near: tuple[float, float], far: tuple[float, float], across: tuple[float, float]):
    """Centres for (objects[0], objects[1]); near/far: along the axis of the relation, across: the other axis."""
    horizontal = relation in ("left of", "right of")
    first = (near[0], across[0]) if horizontal else (across[0], near[0])
    second = (far[0], across[1]) if horizontal else (across[1], far[0])
    return (first, second) if relation in ("left of", "above") else (second, first)


def snapped(spec: SceneSpec, rng: np.random.Generator) -> list[Place]:
    """Grid placement: one 40-unit object, or 24-unit objects at the quadrant centres."""

    def step(probability: float) -> int:
        shifted = rng.random() < probability
        offset = 8 * (int(rng.integers(3)) - 1)
        return offset if shifted else 0

    n = len(spec.objects)
    if n == 1:
        return [Place(32 + step(0.4), 32, SINGLE)]
    if n == 2:
        centres = _pair(_relation(spec, rng), (16, 0), (48, 0), (32 + step(0.3), 32 + step(0.3)))
    else:
        centres = _TRIANGLE if n == 3 else _QUADRANTS
    return [Place(x, y, SMALL) for x, y in centres]


def _separate(places: list[Place]) -> list[Place]:
    """Shrinks size boxes until none overlaps another or leaves the image."""
    out = []
    for i, p in enumerate(places):
        size = min(p.size, 2 * p.x, 2 * p.y, 2 * (64 - p.x), 2 * (64 - p.y))
        for j, q in enumerate(places):
            if i != j:
                gap = max(abs(p.x - q.x), abs(p.y - q.y))
                size = min(size, 2 * gap * p.size / (p.size + q.size))
        out.append(Place(p.x, p.y, size))
    return out


def free(spec: SceneSpec, rng: np.random.Generator) -> list[Place]:
    """Jittered placement: sizes +-25 %, positions +-1..4 units, several arrangements; size boxes never overlap."""
    n = len(spec.objects)
    jitter = lambda sd: float(np.clip(rng.normal(0, sd), -2 * sd, 2 * sd))  # noqa: E731
    if n == 1:
        size = SINGLE * rng.uniform(0.75, 1.25)
        slack = 32 - size / 2
        return [Place(32 + rng.uniform(-slack, slack) * 0.8, 32 + rng.uniform(-slack, slack) * 0.8, size)]
    base = {2: 26, 3: 21, 4: 23}[n]
    if n == 2:
        centres = _pair(
            _relation(spec, rng), (16 + jitter(1.5), 0), (48 + jitter(1.5), 0), (32 + jitter(3), 32 + jitter(3))
        )
    elif n == 3:
        arrangement = int(rng.integers(3))
        centres = (_TRIANGLE, ((32, 16), (16, 48), (48, 48)), ((11, 32), (32, 32), (53, 32)))[arrangement]
    else:
        centres = _QUADRANTS
    same = rng.uniform(0.75, 1.25)
    places = []
    for x, y in centres:
        scale = same if spec.tag == "counting" else rng.uniform(0.75, 1.25)
        wobble = 1.2 if n > 2 else 0.0
        places.append(Place(x + jitter(wobble), y + jitter(wobble), base * scale))
    return _separate(places)


# Sides of the size box by number of objects, in units: (smallest, largest).
_SCATTERED = {1: (32, 52), 2: (20, 32), 3: (20, 28), 4: (16, 24), 5: (16, 20), 6: (16, 20)}
# Steps of sizes and of centres, in units: pixels would make ever new stamps, and every code of a latent new.
_SIZE_STEP, _PLACE_STEP = 4, 2
_TRIES = 60


def _related(places: list[Place], relation: str) -> bool:
    """Whether places[0] is in the relation to places[1], clear of it along the axis and not too far across."""
    first, second = places if relation in ("left of", "above") else places[::-1]
    dx, dy = second.x - first.x, second.y - first.y
    along, across = (dx, dy) if relation in ("left of", "right of") else (dy, dx)
    return along >= (first.size + second.size) / 2 and abs(across) <= 0.7 * along


def scattered(spec: SceneSpec, rng: np.random.Generator) -> list[Place]:
    """Anywhere, at any size that its number allows, none on another; pairs without a relation in any arrangement."""
    n = len(spec.objects)
    low, high = (side // _SIZE_STEP for side in _SCATTERED[n])
    for attempt in range(_TRIES):
        # Harder and harder to fail: the second half of the attempts draws the smallest.
        top = high if attempt < _TRIES // 2 else low
        sizes = rng.integers(low, top + 1, 1 if spec.tag == "counting" else n) * np.full(n, _SIZE_STEP)
        slack = (64 - sizes)[:, None] // _PLACE_STEP
        centres = sizes[:, None] / 2 + _PLACE_STEP * rng.integers(0, slack + 1, (n, 2))
        gaps = np.abs(centres[:, None] - centres[None]).max(-1) - (sizes[:, None] + sizes[None]) / 2
        if n > 1 and gaps[np.triu_indices(n, 1)].min() < 0:
            continue
        places = [Place(float(x), float(y), float(size)) for (x, y), size in zip(centres, sizes)]
        if spec.relation is None or _related(places, spec.relation):
            return places
    if spec.relation:
        return free(spec, rng)
    return [Place(x, y, float(_SCATTERED[n][0])) for y in (16, 48) for x in (11, 32, 53)][:n]


def plain_background(size: int, has_white: bool, rng: np.random.Generator) -> np.ndarray:
    """One of six pale colours, uint8 [size, size, 3]."""
    u = rng.random()
    index = int(np.searchsorted(_PALE_FOR_WHITE, u, side="right")) if has_white else int(u * 6)
    return np.tile(PALE[min(index, 5)], (size, size, 1))


def varied_background(size: int, has_white: bool, has_dark: bool, rng: np.random.Generator) -> np.ndarray:
    """Gradient, horizon or flat colour, light (85 %) or dark, chosen so that white and dark objects stay visible."""
    light = rng.random() < (0.4 if has_white and not has_dark else 0.85)
    if has_dark:
        light = True
    level = rng.uniform(0.62, 0.80 if has_white else 0.95) if light else rng.uniform(0.18, 0.40)
    first = level + rng.normal(0, 0.045, 3)
    second = first + rng.normal(0, 0.05, 3)
    kind = rng.random()
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    if kind < 0.55:
        angle = rng.random() * 2 * np.pi
        t = 0.5 + 0.5 * (np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None])
        image = first + (second - first) * t[..., None]
    elif kind < 0.85:
        horizon = rng.uniform(0.0, 0.75)
        ground = first * rng.uniform(0.78, 0.95) + rng.normal(0, 0.03, 3)
        image = np.where((axis > horizon)[:, None, None], ground, first) + np.zeros((size, size, 1))
    else:
        image = first + np.zeros((size, size, 3))
    return (np.clip(image, 0.02, 1) * 255 + 0.5).astype(np.uint8)


def textured_background(size: int, has_white: bool, has_dark: bool, rng: np.random.Generator) -> np.ndarray:
    """Gradients, horizons and flat colours, in 45 % of the scenes under stripes, checks, dots or clouds of low contrast."""
    image = varied_background(size, has_white, has_dark, rng)
    kind = rng.random()
    if kind > 0.45:
        return image
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * (64 / size)
    angle, period, phase = rng.random() * np.pi, rng.uniform(6, 16), rng.random(2) * 16
    u = x * np.cos(angle) + y * np.sin(angle) + phase[0]
    v = y * np.cos(angle) - x * np.sin(angle) + phase[1]
    if kind < 0.12:
        wave = np.sin(2 * np.pi / period * u)
    elif kind < 0.22:
        wave = np.sign(np.sin(2 * np.pi / period * u) * np.sin(2 * np.pi / period * v))
    elif kind < 0.32:
        wave = 2.0 * (np.cos(2 * np.pi / period * u) + np.cos(2 * np.pi / period * v) > 1.0) - 1
    else:
        coarse = rng.normal(0, 1, (7, 7))
        at = np.linspace(0, 6, size)
        low = np.minimum(at.astype(int), 5)
        share = at - low
        rows = coarse[low] * (1 - share)[:, None] + coarse[low + 1] * share[:, None]
        wave = rows[:, low] * (1 - share)[None] + rows[:, low + 1] * share[None]
    contrast = rng.uniform(4, 11) * (1 if rng.random() < 0.5 else -1)
    tint = 1 + rng.normal(0, 0.25, 3)
    return np.clip(image + (contrast * np.clip(wave, -1.5, 1.5))[..., None] * tint, 5, 255).astype(np.uint8)
