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
