"""Stamps: a drawing at one pixel size in one colour, ready to be pasted.

Stamps are made on first use and cached; a start-up that rendered all of them would take minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .atlas import Atlas
from .vocabulary import COLOR_NAMES, COLORS

MASK_ALPHA = 77  # alpha (0..255) from which a pixel belongs to the object; boxes are tight around it
NATURAL = -1

# How far the shading may go, per colour: (towards black, towards white). Orange darkened turns brown, red
# lightened turns pink, white darkened turns grey: those directions are kept short.
_SHADES: dict[str, tuple[float, float]] = {
    "red": (0.75, 0.26), "orange": (0.28, 0.40), "yellow": (0.28, 0.65), "green": (0.75, 0.40),
    "blue": (0.75, 0.40), "purple": (0.70, 0.35), "pink": (0.22, 0.60), "brown": (0.75, 0.26),
    "black": (0.90, 0.28), "white": (0.42, 1.00),
}  # fmt: skip
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Stamp:
    """Premultiplied pixels cropped to their non-transparent part.

    rgb uint16 [h, w, 3] (colour x alpha, 0..255), keep uint16 [h, w, 1] (255 - alpha), solid bool [h, w];
    (dx, dy): place of the crop in the size box; box: x0, y0, x1, y1 of `solid` in the size box.
    """

    rgb: np.ndarray
    keep: np.ndarray
    solid: np.ndarray
    dx: int
    dy: int
    box: tuple[int, int, int, int]


@lru_cache(maxsize=None)
def _area_weights(source: int, target: int) -> np.ndarray:
    """Row-stochastic [target, source] matrix of the area (box) filter."""
    edges = np.linspace(0, source, target + 1)
    lo, hi = edges[:-1, None], edges[1:, None]
    px = np.arange(source)[None]
    overlap = np.minimum(hi, px + 1) - np.maximum(lo, px)
    return (np.clip(overlap, 0, None) / (hi - lo)).astype(np.float32)


def recolor(rgb: np.ndarray, color: str, mean: float, gain: float) -> np.ndarray:
    """Paints rgb [h, w, 3] (0..1) in a colour, keeping its shading: luma above or below `mean` lightens or darkens."""
    base = np.array(COLORS[color], np.float32) / 255
    dark, light = _SHADES[color]
    t = np.clip((rgb @ _LUMA - mean) * gain, -1, 1)[..., None]
    return np.clip(np.where(t < 0, base * (1 + t * dark), base + (1 - base) * t * light), 0, 1)


class StampCache:
    """Stamps by (drawing, colour index or NATURAL, size, flipped); bounded, oldest half dropped when full."""

    def __init__(self, atlas: Atlas, capacity: int = 60_000) -> None:
        self.atlas = atlas
        self.capacity = capacity
        self._stamps: dict[tuple[int, int, int, bool], Stamp] = {}
        self._tones: dict[int, tuple[float, float]] = {}

    def get(self, drawing: int, color: int, size: int, flip: bool = False) -> Stamp:
        key = (drawing, color, size, flip)
        stamp = self._stamps.get(key)
        if stamp is None:
            if len(self._stamps) >= self.capacity:
                for old in list(self._stamps)[: self.capacity // 2]:
                    del self._stamps[old]
            stamp = self._stamps[key] = self._render(*key)
        return stamp

    def _tone(self, drawing: int) -> tuple[float, float]:
        """(mean luma, contrast gain) of a drawing: strong contrasts are damped, weak ones amplified."""
        if drawing not in self._tones:
            px = self.atlas.pixels[drawing].astype(np.float32) / 255
            weight = px[..., 3] / max(float(px[..., 3].sum()), 1e-6)
            luma = px[..., :3] @ _LUMA
            mean = float((luma * weight).sum())
            std = float(np.sqrt(((luma - mean) ** 2 * weight).sum()))
            self._tones[drawing] = (mean, min(1.6, 0.36 / (std + 0.02)))
        return self._tones[drawing]

    def _render(self, drawing: int, color: int, size: int, flip: bool) -> Stamp:
        px = self.atlas.pixels[drawing].astype(np.float32) / 255
        px = np.concatenate([px[..., :3] * px[..., 3:], px[..., 3:]], -1)
        w = _area_weights(self.atlas.size, size)
        px = (w @ px.reshape(self.atlas.size, -1)).reshape(size, self.atlas.size, 4)
        px = w @ px
        if flip:
            px = px[:, ::-1]
        rgb, alpha = px[..., :3], px[..., 3:]
        if color != NATURAL:
            straight = rgb / np.maximum(alpha, 1e-4)
            rgb = recolor(straight, COLOR_NAMES[color], *self._tone(drawing)) * alpha
        alpha8 = np.rint(alpha * 255).astype(np.uint16)
        rgb8 = np.minimum(np.rint(rgb * 255).astype(np.uint16), alpha8)
        ys, xs = np.nonzero(alpha8[..., 0] > 2)
        y0, y1, x0, x1 = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
        solid = alpha8[..., 0] >= MASK_ALPHA
        my, mx = np.nonzero(solid)
        return Stamp(
            rgb=np.ascontiguousarray(rgb8[y0:y1, x0:x1]),
            keep=np.ascontiguousarray(255 - alpha8[y0:y1, x0:x1]),
            solid=np.ascontiguousarray(solid[y0:y1, x0:x1]),
            dx=int(x0),
            dy=int(y0),
            box=(int(mx.min()), int(my.min()), int(mx.max()) + 1, int(my.max()) + 1),
        )
