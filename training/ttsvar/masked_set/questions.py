"""Questions about a scene with their answers, made from its caption: what is there, in which colour, how many, and where."""

from __future__ import annotations

import random

from ttsvar.text.tokenizer import Tokenizer
from ttsvar.world.vocabulary import CLASSES, COLOR_NAMES, NUMBERS

WORD = {word: index for index, word in enumerate(Tokenizer().vocabulary)}
FIRST = Tokenizer.unk_id + 1
CLASS = range(FIRST, FIRST + len(CLASSES))
COLOR = range(CLASS.stop, CLASS.stop + len(COLOR_NAMES))
NUMBER = range(COLOR.stop, COLOR.stop + len(NUMBERS))
LEFT, RIGHT, ABOVE, BELOW, AND = range(NUMBER.stop, NUMBER.stop + 5)
RELATIONS = (LEFT, RIGHT, ABOVE, BELOW)
OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT, ABOVE: BELOW, BELOW: ABOVE}
KINDS = ("class", "color", "number", "relation")

Words = list[int]


def parts(ids: Words) -> tuple[list[Words], int | None]:
    """A caption's ids without the end -> its things, and the relation between the first two."""
    cuts = [at for at, word in enumerate(ids) if word in RELATIONS or word == AND]
    relation = next((ids[at] for at in cuts if ids[at] in RELATIONS), None)
    edges = [-1, *cuts, len(ids)]
    return [ids[a + 1 : b] for a, b in zip(edges, edges[1:])], relation


def _other(words: range, *taken: int, rng: random.Random) -> int:
    return rng.choice([word for word in words if word not in taken])


def ask(ids: Words, rng: random.Random) -> tuple[Words, bool, str]:
    """A question about the scene with this caption, whether it is answered with yes, and its kind.

    Wrong ones differ in one respect, and take it from the scene's other thing where that makes them harder.
    """
    things, relation = parts([word for word in ids if word > Tokenizer.unk_id])
    thing = rng.choice(things)
    others = [word for other in things if other is not thing for word in other]
    kinds = ["class"]
    kinds += ["color"] * any(word in COLOR for word in thing)
    kinds += ["number"] * any(word in NUMBER for word in thing)
    kinds += ["relation"] * 2 * (relation is not None and len(things) == 2)
    kind, yes = rng.choice(kinds), rng.random() < 0.5
    name = next(word for word in thing if word in CLASS)
    if kind == "class":
        named = [word for other in things for word in other if word in CLASS]
        kept = [word for word in thing if word not in NUMBER or rng.random() < 0.5]
        if rng.random() < 0.5:
            kept = [name]
        return [word if yes or word != name else _other(CLASS, *named, rng=rng) for word in kept], yes, kind
    if kind == "color":
        own = next(word for word in thing if word in COLOR)
        theirs = [word for word in others if word in COLOR and word != own]
        wrong = theirs[0] if theirs and rng.random() < 0.5 else _other(COLOR, own, rng=rng)
        return [own if yes else wrong, name], yes, kind
    if kind == "number":
        own = next(word for word in thing if word in NUMBER)
        return [_other(NUMBER, own, rng=rng) if not yes and word == own else word for word in thing], yes, kind
    first, second = things
    if not yes:
        relation = OPPOSITE[relation] if rng.random() < 0.6 else _other(range(LEFT, AND), relation, rng=rng)
    elif rng.random() < 0.5:
        first, second, relation = second, first, OPPOSITE[relation]
    bare = rng.random() < 0.5
    first, second = ([word for word in side if not bare or word in CLASS] for side in (first, second))
    return [*first, relation, *second], yes, kind
