"""GenEval's rules on detections (djghosh13/geneval, evaluate_images.py), restated without mmdetection."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

THRESHOLD = 0.3
COUNTING_THRESHOLD = 0.9
MAX_OBJECTS = 16
POSITION_THRESHOLD = 0.1


@dataclass(frozen=True)
class Detection:
    """box: x0, y0, x1, y1 in px; color: name of the most likely colour."""

    cls: str
    score: float
    box: tuple[float, float, float, float]
    color: str = ""


def relations(a: Sequence[float], b: Sequence[float], threshold: float = POSITION_THRESHOLD) -> set[str]:
    """Every relation that box a has to box b; two at once on diagonals, none when they overlap strongly."""
    offset = [(a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2 for i in (0, 1)]
    spans = [a[i + 2] - a[i] + b[i + 2] - b[i] for i in (0, 1)]
    revised = [math.copysign(max(abs(o) - threshold * s, 0.0), o) for o, s in zip(offset, spans)]
    if all(abs(r) < 1e-3 for r in revised):
        return set()
    norm = math.hypot(*offset)
    dx, dy = revised[0] / norm, revised[1] / norm
    found = set()
    if dx < -0.5:
        found.add("left of")
    if dx > 0.5:
        found.add("right of")
    if dy < -0.5:
        found.add("above")
    if dy > 0.5:
        found.add("below")
    return found


def keep(detections: Sequence[Detection], tag: str) -> dict[str, list[Detection]]:
    """Per class, by falling score, strictly above the threshold of the tag, at most 16."""
    threshold = COUNTING_THRESHOLD if tag == "counting" else THRESHOLD
    kept: dict[str, list[Detection]] = {}
    for d in sorted(detections, key=lambda d: -d.score):
        if d.score > threshold and len(kept.setdefault(d.cls, [])) < MAX_OBJECTS:
            kept[d.cls].append(d)
    return kept


def passes(meta: dict, detections: Sequence[Detection], color_of: Callable[[Detection], str] | None = None) -> bool:
    """Whether an image satisfies one GenEval metadata line."""
    color_of = color_of or (lambda d: d.color)
    kept = keep(detections, meta["tag"])
    matched: list[list[Detection] | None] = []
    correct = True
    for clause in meta.get("include", []):
        count = clause["count"]
        found = kept.get(clause["class"], [])[:count]
        ok = len(found) >= count
        if ok and "color" in clause:
            ok = sum(color_of(d) == clause["color"] for d in found) >= count
        if ok and "position" in clause:
            relation, target = clause["position"]
            others = matched[target]
            ok = others is not None and all(relation in relations(d.box, o.box) for d in found for o in others)
        matched.append(found if ok else None)
        correct &= ok
    for clause in meta.get("exclude", []):
        correct &= len(kept.get(clause["class"], [])) < clause["count"]
    return correct
