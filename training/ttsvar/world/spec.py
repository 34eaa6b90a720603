"""What a scene must contain (SceneSpec), how specs are drawn, and their official GenEval form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .vocabulary import CLASSES, COLOR_NAMES, NUMBERS, RELATIONS, TAGS, naive_plural, with_article

# Pairs are the hard part for a small generator, so they get more than a third of the samples.
TAG_WEIGHTS: dict[str, float] = {
    "single_object": 0.14, "two_object": 0.19, "counting": 0.17, "colors": 0.15, "position": 0.19, "color_attr": 0.16,
}  # fmt: skip


@dataclass(frozen=True)
class SceneSpec:
    """Objects are (class, colour or None); with a relation it reads: objects[0] <relation> objects[1]."""

    tag: str
    objects: tuple[tuple[str, str | None], ...]
    relation: str | None = None


def _pick(rng: np.random.Generator, items):
    return items[int(rng.integers(len(items)))]


def _class(rng: np.random.Generator, colored: bool) -> str:
    """A class; GenEval never colours a person, and neither does the world."""
    return CLASSES[int(rng.integers(1 if colored else 0, len(CLASSES)))]


def _class_pair(rng: np.random.Generator, colored: bool) -> tuple[str, str]:
    first = _class(rng, colored)
    second = _class(rng, colored)
    while second == first:
        second = _class(rng, colored)
    return first, second


def _color_pair(rng: np.random.Generator) -> tuple[str, str]:
    i = int(rng.integers(10))
    j = (i + 1 + int(rng.integers(9))) % 10
    return COLOR_NAMES[i], COLOR_NAMES[j]


def sample_spec_of(tag: str, rng: np.random.Generator, extras: bool = True) -> SceneSpec:
    """A random spec of one tag. extras: sometimes add colours GenEval itself would not ask for."""
    if tag == "single_object":
        return SceneSpec(tag, ((_class(rng, False), None),))
    if tag == "colors":
        return SceneSpec(tag, ((_class(rng, True), _pick(rng, COLOR_NAMES)),))
    if tag == "counting":
        n = int(rng.integers(2, 5))
        colored = extras and rng.random() < 0.15
        return SceneSpec(tag, ((_class(rng, colored), _pick(rng, COLOR_NAMES) if colored else None),) * n)
    if tag == "two_object":
        a, b = _class_pair(rng, False)
        return SceneSpec(tag, ((a, None), (b, None)))
    if tag == "position":
        colored = extras and rng.random() < 0.10
        a, b = _class_pair(rng, colored)
        ca, cb = _color_pair(rng) if colored else (None, None)
        return SceneSpec(tag, ((a, ca), (b, cb)), _pick(rng, RELATIONS))
    if tag == "color_attr":
        a, b = _class_pair(rng, True)
        ca, cb = _color_pair(rng)
        return SceneSpec(tag, ((a, ca), (b, cb)))
    if tag == "groups":
        return _groups(rng)
    raise ValueError(f"unknown tag {tag!r}")


def _groups(rng: np.random.Generator) -> SceneSpec:
    """Two kinds of things, three to six in all, at most four of a kind; no prompt of GenEval, for training only."""
    counts = [(a, b) for a in range(1, 5) for b in range(1, 5) if 3 <= a + b <= 6]
    first, second = counts[int(rng.integers(len(counts)))]
    colored = rng.random() < 0.3
    a, b = _class_pair(rng, colored)
    ca, cb = _color_pair(rng) if colored else (None, None)
    return SceneSpec("groups", ((a, ca),) * first + ((b, cb),) * second)


def sample_spec(rng: np.random.Generator) -> SceneSpec:
    """A random spec of a random tag (TAG_WEIGHTS)."""
    u = rng.random() * sum(TAG_WEIGHTS.values())
    for tag, weight in TAG_WEIGHTS.items():
        u -= weight
        if u < 0:
            return sample_spec_of(tag, rng)
    return sample_spec_of("color_attr", rng)


def geneval_prompt(spec: SceneSpec) -> str:
    """The sentence GenEval's own generator would write, naive plurals included."""

    def name(obj: tuple[str, str | None]) -> str:
        return f"{obj[1]} {obj[0]}" if obj[1] else obj[0]

    objects = spec.objects
    if spec.tag == "counting":
        return f"a photo of {NUMBERS[len(objects)]} {naive_plural(name(objects[0]))}"
    if spec.tag == "position":
        return f"a photo of {with_article(name(objects[0]))} {spec.relation} {with_article(name(objects[1]))}"
    return "a photo of " + " and ".join(with_article(name(o)) for o in objects)


def geneval_metadata(spec: SceneSpec) -> dict:
    """One line of GenEval's evaluation_metadata.jsonl (tag, include, [exclude], prompt)."""

    def clause(obj: tuple[str, str | None], count: int = 1) -> dict:
        out: dict = {"class": obj[0], "count": count}
        if obj[1]:
            out["color"] = obj[1]
        return out

    meta: dict = {"tag": spec.tag}
    if spec.tag == "counting":
        cls, n = spec.objects[0][0], len(spec.objects)
        meta["include"] = [clause(spec.objects[0], n)]
        meta["exclude"] = [{"class": cls, "count": n + 1}]
    elif spec.tag == "position":
        subject, reference = spec.objects
        meta["include"] = [clause(reference), {**clause(subject), "position": [spec.relation, 0]}]
    else:
        meta["include"] = [clause(o) for o in spec.objects]
    meta["prompt"] = geneval_prompt(spec)
    return meta


def spec_from_metadata(meta: dict) -> SceneSpec:
    """Inverse of geneval_metadata; also reads the official 553 lines."""
    include = meta["include"]
    objects = [(c["class"], c.get("color")) for c in include for _ in range(c["count"])]
    if meta["tag"] == "position":
        relation = include[1]["position"][0]
        return SceneSpec(meta["tag"], (objects[1], objects[0]), relation)
    return SceneSpec(meta["tag"], tuple(objects))


# Number of distinct prompts in GenEval's grammar, to refuse impossible requests.
_CAPACITY = {"single_object": 80, "counting": 240, "colors": 790, "two_object": 6320, "position": 25280,
             "color_attr": 79 * 78 * 90}  # fmt: skip


def geneval_prompts(per_tag: int | dict[str, int], seed: int) -> list[dict]:
    """Fresh GenEval-grammar metadata without duplicate prompts, grouped by tag.

    A request beyond the number of distinct prompts of a tag is cut to that number (80 for single_object).
    """
    wanted = {tag: per_tag for tag in TAGS} if isinstance(per_tag, int) else per_tag
    out: list[dict] = []
    for tag, count in wanted.items():
        rng = np.random.Generator(np.random.Philox(key=[seed, TAGS.index(tag)]))
        seen: set[str] = set()
        while len(seen) < min(count, _CAPACITY[tag]):
            meta = geneval_metadata(sample_spec_of(tag, rng, extras=False))
            if meta["prompt"] not in seen:
                seen.add(meta["prompt"])
                out.append(meta)
    return out
