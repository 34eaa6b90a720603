"""Two small worlds of clips whose every frame is a known picture.

``moving``: one thing goes 8 px a frame to one side before a plain background. ``driving``: a car goes from left to right
past obstacles; a plan says where it is in every frame, and the plan alone decides what the frames show.

All things are 24 px wide and stand on a grid of 8 px, at which the embedded autoencoder knows them; a world has so few
different frames that all are encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ttsvar.world import World, world_config
from ttsvar.world.layout import PALE, Place
from ttsvar.world.vocabulary import CLASS_INDEX, COLOR_NAMES, with_article

FRAMES = 5
#: Centres of things, in px, on both axes.
GRID = (16, 24, 32, 40, 48)
SIZE = 24

CLASSES = (
    "sports ball", "car", "airplane", "bus", "boat", "bird", "cat", "dog", "cow", "umbrella", "suitcase", "banana",
    "clock", "teddy bear", "cup", "book",
)  # fmt: skip
COLORS = ("red", "yellow", "green", "blue", "purple", "pink", "brown", "black")
#: Indices into PALE.
BACKGROUNDS = (1, 2, 3, 5)
#: Steps of one grid cell a frame, as (x, y).
DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}

CARS = ("red", "green", "blue", "purple")
LANES = {"above": 16, "middle": 32, "below": 48}
GOALS = {"up": 16, "down": 48}
#: Obstacles by where they stand along the road: (x, class, colour).
OBSTACLES = ((32, "stop sign", "black"), (48, "fire hydrant", "orange"))
ROADS = (1, 5)
#: A car this near to an obstacle, on both axes, has run into it.
REACH = 12


def held_out(cls: int, color: int) -> bool:
    """One colour of every class is in no training clip."""
    return (3 * cls + 1) % len(COLORS) == color


def moving_prompt(cls: str, color: str, direction: str) -> str:
    return f"{with_article(color)} {cls} moving {direction}"


def path(direction: str, lane: int) -> list[tuple[int, int]]:
    """Grid indices (x, y) by frame."""
    dx, dy = DIRECTIONS[direction]
    along = range(FRAMES) if dx + dy > 0 else range(FRAMES - 1, -1, -1)
    return [(at, lane) if dx else (lane, at) for at in along]


@dataclass(frozen=True)
class Road:
    """What a driving prompt says: the goal, and the lanes of the obstacles (None: there is none)."""

    goal: str
    near: str
    far: str | None

    @property
    def obstacles(self) -> list[tuple[int, int]]:
        """Centres in px."""
        return [(x, LANES[lane]) for (x, _, _), lane in zip(OBSTACLES, (self.near, self.far)) if lane]

    def prompt(self, color: str) -> str:
        def place(lane: str) -> str:
            return "in the middle" if lane == "middle" else lane

        things = [
            f"{with_article(cls)} {place(lane)}" for (_, cls, _), lane in zip(OBSTACLES, (self.near, self.far)) if lane
        ]
        return f"{with_article(color)} car driving {self.goal} past {' and '.join(things)}"


def roads() -> list[Road]:
    """All that can be driven: no two obstacles in one lane, the goal's lane free at its end."""
    return [
        Road(goal, near, far)
        for goal, near, far in product(GOALS, LANES, (None, *LANES))
        if far is None or (far != near and LANES[far] != GOALS[goal])
    ]


def snap(plan: np.ndarray) -> np.ndarray:
    """Poses ``[..., 2]`` in px -> those that frames show, on the grid."""
    return np.clip(np.rint((plan - GRID[0]) / 8), 0, len(GRID) - 1) * 8 + GRID[0]


def drive_return(road: Road, plan: np.ndarray) -> float:
    """Share of frames before the first collision, times how near the end is to the goal's lane; in [0, 1]."""
    poses = snap(plan)
    safe = len(poses)
    for frame, (x, y) in enumerate(poses):
        if any(abs(x - ox) < REACH and abs(y - oy) < REACH for ox, oy in road.obstacles):
            safe = frame
            break
    goal = max(0.0, 1 - abs(poses[-1][1] - GOALS[road.goal]) / 32)
    return safe / len(poses) * goal


def draw_plan(road: Road, rng: np.random.Generator) -> np.ndarray:
    """A driver's way ``[frames, 2]`` in px. Half of them look where they go: theirs has the full return if 40 tries find
    one. The others steer from a random lane to about the goal's, whatever is in between."""
    careful = rng.random() < 0.5
    for _ in range(40 if careful else 1):
        plan = _way(road, rng)
        if not careful or drive_return(road, plan) == 1:
            break
    return plan


def _way(road: Road, rng: np.random.Generator) -> np.ndarray:
    start, end = rng.uniform(12, 52), GOALS[road.goal] + rng.normal(0, 4)
    middle = rng.uniform(12, 52)
    turn = rng.uniform(1, FRAMES - 2)
    at = np.arange(FRAMES)
    y = np.interp(at, (0, turn, FRAMES - 1), (start, middle, end))
    x = np.array(GRID) + rng.normal(0, 0.8, FRAMES)
    return np.clip(np.stack([x, y], -1), 10, 54).astype(np.float32)


class Painter:
    """Frames as pictures, uint8 ``[64, 64, 3]``."""

    def __init__(self) -> None:
        self.world = World(world_config(), 0)

    def _put(self, image: np.ndarray, cls: str, color: str, x: float, y: float) -> None:
        drawing = self.world.atlas.trainable(CLASS_INDEX[cls])[0]
        self.world._paste(image, drawing, COLOR_NAMES.index(color), Place(x, y, SIZE), False, False)

    def moving(self, cls: str, color: str, background: int, x: int, y: int) -> np.ndarray:
        image = np.tile(PALE[background], (64, 64, 1))
        self._put(image, cls, color, GRID[x], GRID[y])
        return image

    def driving(self, road: Road, color: str, background: int, x: int, y: int) -> np.ndarray:
        image = np.tile(PALE[background], (64, 64, 1))
        for (px, cls, paint), lane in zip(OBSTACLES, (road.near, road.far)):
            if lane:
                self._put(image, cls, paint, px, LANES[lane])
        self._put(image, "car", color, GRID[x], GRID[y])
        return image
