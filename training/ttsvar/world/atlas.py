"""The rasterised drawings and who may use which of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .paths import CACHE
from .prepare import prepare
from .vocabulary import CLASS_INDEX, CLASSES


@dataclass(frozen=True)
class Drawing:
    """One icon. index: position in the atlas; mono: single-colour icon without a palette of its own."""

    index: int
    cls: int
    set: str
    icon: str
    license: str
    mono: bool


class Atlas:
    """All drawings, pixels uint8 [n, 128, 128, 4] with straight alpha (memory-mapped)."""

    def __init__(self, folder: Path = CACHE) -> None:
        meta_path = folder / "atlas-128.json"
        if not meta_path.exists():
            prepare()
        meta = json.loads(meta_path.read_text())
        self.size: int = meta["size"]
        self.pixels = np.memmap(folder / "atlas-128.raw", np.uint8, "r").reshape(-1, self.size, self.size, 4)
        self.drawings = [
            Drawing(i, CLASS_INDEX[m["class"]], m["set"], m["icon"], m["license"], m["mono"])
            for i, m in enumerate(meta["items"])
        ]
        self.by_class: list[list[Drawing]] = [[] for _ in CLASSES]
        for d in self.drawings:
            self.by_class[d.cls].append(d)

    def heldout(self, cls: int) -> list[Drawing]:
        """The last drawing (of >= 4; the last two of >= 8) is never trained on by any model."""
        drawings = self.by_class[cls]
        n = 2 if len(drawings) >= 8 else 1 if len(drawings) >= 4 else 0
        return drawings[len(drawings) - n :]

    def trainable(self, cls: int) -> list[Drawing]:
        """Drawings that may be trained on, colour icons first (stable order: mostly Noto leads). A picture that is held
        out, under whatever name and set, is none of them."""
        held = self.heldout(cls)
        rest = self.by_class[cls][: len(self.by_class[cls]) - len(held)]
        return sorted((d for d in rest if not any(self.same(d, other) for other in held)), key=lambda d: d.mono)

    def same(self, one: Drawing, other: Drawing) -> bool:
        """Whether two drawings are one picture."""
        return bool(np.array_equal(self.pixels[one.index], self.pixels[other.index]))


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """The shared atlas of this process; rasterises it first if missing."""
    return Atlas()
