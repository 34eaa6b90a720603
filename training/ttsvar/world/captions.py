"""Captions: GenEval's grammar plus free paraphrases, and a small parser that reads both back."""

from __future__ import annotations

import numpy as np

from .spec import SceneSpec
from .vocabulary import CLASSES, COLORS, NUMBERS, naive_plural, plural, with_article

_FRAMES = ("a picture of ", "an image of ", "a picture showing ", "a drawing of ", "an icon of ", "", "", "")
_RELATION_FORMS = {
    "left of": ("to the left of", "on the left of"),
    "right of": ("to the right of", "on the right of"),
    "above": ("over", "on top of"),
    "below": ("under", "beneath"),
}
_JOINERS = (" and ", " and ", " next to ", " with ", " beside ", ", ")


def _name(obj: tuple[str, str | None]) -> str:
    return f"{obj[1]} {obj[0]}" if obj[1] else obj[0]


def _several(obj: tuple[str, str | None], count: int) -> str:
    return with_article(_name(obj)) if count == 1 else f"{NUMBERS[count]} {_name((plural(obj[0]), obj[1]))}"


def caption(spec: SceneSpec, rng: np.random.Generator, paraphrase: bool = True) -> str:
    """A caption of the spec. paraphrase=False keeps to GenEval's grammar (either plural form)."""
    free = paraphrase and rng.random() < 0.4
    objects = spec.objects
    if spec.tag == "counting":
        many = naive_plural if rng.random() < 0.5 else plural
        cls, color = objects[0]
        number = str(len(objects)) if free and rng.random() < 0.2 else NUMBERS[len(objects)]
        body = f"{number} {_name((many(cls), color))}"
    elif spec.tag == "groups":
        kinds = list(dict.fromkeys(objects))
        body = " and ".join(_several(kind, objects.count(kind)) for kind in kinds)
    elif spec.tag == "position":
        relation = spec.relation
        if free and rng.random() < 0.6:
            relation = _RELATION_FORMS[relation][int(rng.integers(2))]
        body = f"{with_article(_name(objects[0]))} {relation} {with_article(_name(objects[1]))}"
    elif len(objects) == 2:
        joiner = _JOINERS[int(rng.integers(len(_JOINERS)))] if free else " and "
        body = with_article(_name(objects[0])) + joiner + with_article(_name(objects[1]))
    else:
        body = "one " + _name(objects[0]) if free and rng.random() < 0.3 else with_article(_name(objects[0]))
    frame = _FRAMES[int(rng.integers(len(_FRAMES)))] if free and rng.random() < 0.8 else "a photo of "
    return frame + body


_SINGULARS = {form(c): c for c in CLASSES for form in (str, plural, naive_plural)}
_COUNTS = {**{word: n for n, word in NUMBERS.items()}, **{str(n): n for n in NUMBERS}, "a": 1, "an": 1, "the": 1}
_RELATIONS_BACK = {form: rel for rel, forms in _RELATION_FORMS.items() for form in (rel, *forms)}


def parse_caption(text: str) -> tuple[list[tuple[int, str, str | None]], str | None]:
    """Reads a caption of this module: ([(count, class, colour), ...], relation).

    Longest match over words; "orange" is a colour only when a class follows it.
    """
    words = text.lower().replace(",", " , ").split()
    found: list[tuple[int, str, str | None]] = []
    relation, count, color = None, 1, None
    i = 0
    while i < len(words):
        for size in (4, 3, 2, 1):
            phrase = " ".join(words[i : i + size])
            following = words[i + size : i + size + 3]
            if phrase in COLORS and any(" ".join(following[:k]) in _SINGULARS for k in (1, 2)):
                color = phrase
            elif phrase in _SINGULARS:
                found.append((count, _SINGULARS[phrase], color))
                count, color = 1, None
            elif phrase in _RELATIONS_BACK:
                relation = _RELATIONS_BACK[phrase]
            elif phrase in _COUNTS:
                count = _COUNTS[phrase]
            else:
                continue
            i += size
            break
        else:
            i += 1
    return found, relation
