"""The synthetic world: icon scenes with exact captions, boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import layout
from .atlas import Drawing, load_atlas
from .captions import caption
from .spec import SceneSpec, sample_spec
from .stamps import NATURAL, StampCache
from .vocabulary import CLASS_INDEX, CLASSES, COLOR_NAMES

_MONO_FIXED = (COLOR_NAMES.index("red"), COLOR_NAMES.index("blue"), COLOR_NAMES.index("brown"),
               COLOR_NAMES.index("green"))  # fmt: skip
_NO_FLIP = CLASS_INDEX["stop sign"]
_LAYOUTS = {"snapped": layout.snapped, "free": layout.free, "scattered": layout.scattered}
_DARK = {"black", "brown", "blue", "purple"}


@dataclass(frozen=True)
class WorldConfig:
    """size: image side in px; drawings: how many per class (None: all), generator split only;
    layout: snapped | free | scattered; backgrounds: plain | varied | textured; split: generator | verifier | heldout."""

    size: int = 64
    drawings: int | None = 1
    layout: str = "snapped"
    backgrounds: str = "plain"
    split: str = "generator"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("layout", tuple(_LAYOUTS)),
            ("backgrounds", ("plain", "varied", "textured")),
            ("split", ("generator", "verifier", "heldout")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")


def world_config(size: int = 64, world: str = "narrow") -> WorldConfig:
    """What a generator learns. ``narrow``: one drawing a class on a coarse grid before flat backgrounds; ``wide``: three
    drawings a class, of any size, anywhere, before gradients and textures."""
    if world == "narrow":
        return WorldConfig(size, 1, "snapped", "plain", "generator")
    if world == "wide":
        return WorldConfig(size, 3, "scattered", "textured", "generator")
    raise ValueError(f"world must be narrow or wide, got {world!r}")


@dataclass
class ObjectTruth:
    """cls: index in CLASSES; color: index in COLORS if one was asked for; box: x0, y0, x1, y1 in px, right and
    bottom exclusive; mask: bool [S, S] visible pixels, on request; drawing: index in the atlas."""

    cls: int
    color: int | None
    box: tuple[float, float, float, float]
    mask: np.ndarray | None
    drawing: int


@dataclass
class Scene:
    """image: uint8 [S, S, 3]; objects in the order of spec.objects."""

    image: np.ndarray
    spec: SceneSpec
    objects: list[ObjectTruth]
    caption: str


@dataclass
class SceneBatch:
    """images: uint8 [n, S, S, 3]."""

    images: np.ndarray
    scenes: list[Scene]


class World:
    """Scene i depends only on (config, seed, i): any worker may draw any range in any order."""

    def __init__(self, config: WorldConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.atlas = load_atlas()
        self._stamps = StampCache(self.atlas)
        self._choices = [self._drawings_of(c) for c in range(len(CLASSES))]
        self._first = [self.atlas.trainable(c)[0] for c in range(len(CLASSES))]

    def _drawings_of(self, cls: int) -> list[Drawing]:
        if self.config.split == "heldout":
            return self.atlas.heldout(cls)
        drawings = self.atlas.trainable(cls)
        return drawings[: self.config.drawings] if self.config.split == "generator" else drawings

    def _pick(self, cls: int, color: int | None, rng: np.random.Generator) -> tuple[Drawing, int]:
        """A drawing and its paint (NATURAL or a colour index)."""
        choices = self._choices[cls]
        verifier = self.config.split == "verifier"
        u, v = rng.random(), rng.random()
        drawing = self._first[cls] if verifier and u < 0.5 else choices[int(v * len(choices))]
        if color is not None:
            return drawing, color
        if not drawing.mono:
            return drawing, NATURAL
        fixed = _MONO_FIXED[cls % len(_MONO_FIXED)]
        return drawing, fixed if self.config.split == "generator" else int(rng.integers(10))

    def scene(self, index: int, spec: SceneSpec | None = None, masks: bool = False) -> Scene:
        """Scene number `index`; with a spec, its placement and background are those of the same number."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, index]))
        if spec is None:
            spec = sample_spec(rng)
        text = caption(spec, rng)
        cfg = self.config
        colors = {c for _, c in spec.objects if c}
        picks = self._picks(spec, rng)
        painted = colors | {COLOR_NAMES[paint] for _, paint in picks if paint != NATURAL}
        white, dark = "white" in painted, bool(painted & _DARK)
        if cfg.backgrounds == "plain":
            image = layout.plain_background(cfg.size, white, rng)
        elif cfg.backgrounds == "varied":
            image = layout.varied_background(cfg.size, white, dark, rng)
        else:
            image = layout.textured_background(cfg.size, white, dark, rng)
        places = _LAYOUTS[cfg.layout](spec, rng)
        flips = cfg.layout == "free" and rng.random() < 0.5
        objects = []
        for (name, color), (drawing, paint), place in zip(spec.objects, picks, places):
            flip = flips and CLASS_INDEX[name] != _NO_FLIP
            box, mask = self._paste(image, drawing, paint, place, flip, masks)
            objects.append(
                ObjectTruth(drawing.cls, COLOR_NAMES.index(color) if color else None, box, mask, drawing.index)
            )
        return Scene(image, spec, objects, text)

    def _picks(self, spec: SceneSpec, rng: np.random.Generator) -> list[tuple[Drawing, int]]:
        """One drawing per object; objects that are counted share one (in 90 % of the verifier's scenes)."""
        picks = [self._pick(CLASS_INDEX[n], COLOR_NAMES.index(c) if c else None, rng) for n, c in spec.objects]
        if spec.tag == "counting" and not (self.config.split == "verifier" and rng.random() < 0.1):
            picks = picks[:1] * len(picks)
        return picks

    def _paste(self, image: np.ndarray, drawing: Drawing, paint: int, place: layout.Place, flip: bool, masks: bool):
        """Draws one object in place; returns its box in px and, on request, its mask."""
        side = image.shape[0]
        unit = side / 64
        size = max(4, int(place.size * unit))
        if self.config.layout != "snapped":
            size = min(size, side) // 2 * 2  # even sizes only: half as many stamps to cache
        stamp = self._stamps.get(drawing.index, paint, size, flip)
        left = min(max(round(place.x * unit - size / 2), 0), side - size)
        top = min(max(round(place.y * unit - size / 2), 0), side - size)
        h, w = stamp.solid.shape
        y, x = top + stamp.dy, left + stamp.dx
        target = image[y : y + h, x : x + w]
        target[:] = stamp.rgb + (target * stamp.keep + 127) // 255
        b = stamp.box
        box = (float(left + b[0]), float(top + b[1]), float(left + b[2]), float(top + b[3]))
        mask = None
        if masks:
            mask = np.zeros((side, side), bool)
            mask[y : y + h, x : x + w] = stamp.solid
        return box, mask

    def batch(self, start: int, n: int, specs: list[SceneSpec] | None = None) -> SceneBatch:
        """Scenes start .. start + n - 1; specs, if given, are used in order."""
        scenes = [self.scene(start + i, specs[i] if specs else None) for i in range(n)]
        return SceneBatch(np.stack([s.image for s in scenes]), scenes)
