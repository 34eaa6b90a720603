"""Meaning of a scene, and edits that change exactly one part of it (the hard negatives)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ttsvar.world import CLASSES, COLORS, RELATIONS, SceneSpec

COLOR_NAMES: list[str] = list(COLORS)
EDITS: tuple[str, ...] = ("color", "count", "class", "relation", "swap", "bind", "more")
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def content(spec: SceneSpec) -> tuple:
    """The objects without order: which classes, colours and counts."""
    return tuple(sorted((name, color or "") for name, color in spec.objects))


def meaning(spec: SceneSpec) -> tuple:
    """Equal for captions that say the same: order of "and" is free, "a left of b" is "b right of a"."""
    if spec.relation in ("right of", "below"):
        return (_OPPOSITE[spec.relation], spec.objects[1], spec.objects[0])
    if spec.relation is not None:
        return (spec.relation, *spec.objects)
    return ("", *content(spec))


def compatible(a: SceneSpec, b: SceneSpec) -> bool:
    """True if one caption may hold for the other's image: same meaning, or same objects and a relation left open."""
    if meaning(a) == meaning(b):
        return True
    return content(a) == content(b) and (a.relation is None or b.relation is None)


def retag(objects: tuple[tuple[str, str | None], ...], relation: str | None) -> SceneSpec:
    """A spec with the tag that fits its objects."""
    if len(objects) == 1:
        tag = "colors" if objects[0][1] else "single_object"
    elif len(set(objects)) == 1:
        tag = "counting"
    elif relation is not None:
        tag = "position"
    else:
        tag = "color_attr" if any(color for _, color in objects) else "two_object"
    return SceneSpec(tag, objects, relation)


def _other(rng: np.random.Generator, items: list, *taken: object):
    while True:
        item = items[int(rng.integers(len(items)))]
        if item not in taken:
            return item


def allowed(spec: SceneSpec) -> tuple[str, ...]:
    """Edits that make sense: colours and relations only where the caption names them."""
    objects = spec.objects
    colored = any(color for _, color in objects)
    same = len(set(objects)) == 1
    out = ["class"]
    if colored:
        out.append("color")
    if same:
        out.append("count")
    if spec.relation is not None:
        out += ["relation", "swap"]
    if not same and len(objects) == 2 and objects[0][1] != objects[1][1] and colored:
        out.append("bind")
    return tuple(out)


def edit(spec: SceneSpec, kind: str, rng: np.random.Generator) -> SceneSpec:
    """A copy that differs in one colour, count, class or relation; "swap" exchanges the places of the two
    objects, "bind" their colours, "more" replaces a pair by two of one of its objects."""
    objects = spec.objects
    same = len(set(objects)) == 1
    if kind == "count":
        n = _other(rng, [1, 2, 3, 4], len(objects))
        if rng.random() < 0.6:
            n = len(objects) + (1 if rng.random() < 0.5 else -1)
            n = min(max(n, 1), 4) if min(max(n, 1), 4) != len(objects) else (2 if len(objects) == 1 else 3)
        return retag((objects[0],) * n, None)
    if kind == "relation":
        return replace(spec, relation=_other(rng, list(RELATIONS), spec.relation))
    if kind == "swap":
        return replace(spec, objects=(objects[1], objects[0]))
    if kind == "bind":
        (a, ca), (b, cb) = objects
        return retag(((a, cb), (b, ca)), spec.relation)
    if kind == "more":
        return retag((objects[int(rng.integers(len(objects)))],) * 2, None)
    which = int(rng.integers(len(objects)))
    if kind == "color":
        which = [i for i, o in enumerate(objects) if o[1]][0] if not objects[which][1] else which
        new = (objects[which][0], _other(rng, COLOR_NAMES, objects[which][1]))
    elif kind == "class":
        first = 1 if objects[which][1] else 0  # persons are never coloured
        new = (_other(rng, CLASSES[first:], *(o[0] for o in objects)), objects[which][1])
    else:
        raise ValueError(f"unknown edit {kind!r}")
    changed = tuple(new if same or i == which else o for i, o in enumerate(objects))
    return retag(changed, spec.relation)


def random_edit(spec: SceneSpec, rng: np.random.Generator) -> SceneSpec:
    """One allowed edit; pairs sometimes lose one kind of object ("more"), a common failure of generators."""
    kinds = list(allowed(spec))
    if len(spec.objects) == 2 and len(set(spec.objects)) == 2:
        kinds.append("more")
    return edit(spec, kinds[int(rng.integers(len(kinds)))], rng)
