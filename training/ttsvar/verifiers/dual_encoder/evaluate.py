"""Quality of an exported folder through onnxruntime: python -m ttsvar.verifiers.dual_encoder.evaluate --model models/dual-encoder

Scenes are fresh (seeds of their own). Retrieval: is the right caption first among 100 captions of other scenes?
Discrimination: is it first among all captions that differ in one colour (10), count (4), class (80), relation (4)
or in which object has which of the two colours (2)?
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ttsvar.world import CLASSES, COLORS, RELATIONS, SceneSpec, World, WorldConfig, geneval_prompt, sample_spec_of

from .runtime import DualEncoderOnnx
from .specs import compatible, edit, retag

WORLDS: dict[str, WorldConfig] = {
    "generator": WorldConfig(),
    "free": WorldConfig(drawings=None, layout="free", backgrounds="varied", split="verifier"),
    "heldout": WorldConfig(drawings=None, layout="snapped", backgrounds="plain", split="heldout"),
}
KINDS: dict[str, tuple[str, ...]] = {
    "color": ("colors", "color_attr"),
    "count": ("single_object", "counting"),
    "class": ("single_object", "two_object", "colors", "color_attr"),
    "relation": ("position",),
    "swap": ("position",),
    "bind": ("color_attr",),
}
SEED = 900_000_001


def alternatives(spec: SceneSpec, kind: str, rng: np.random.Generator) -> list[SceneSpec]:
    """The spec first, then everything that differs from it in one part of the given kind."""
    objects = spec.objects
    which = int(rng.integers(len(objects)))
    name, color = objects[which]

    def put(new: tuple[str, str | None]) -> SceneSpec:
        return retag(tuple(new if i == which else o for i, o in enumerate(objects)), spec.relation)

    if kind == "color":
        out = [put((name, c)) for c in COLORS if c != color]
    elif kind == "class":
        out = [put((c, color)) for c in CLASSES if c not in {o[0] for o in objects}]
    elif kind == "count":
        out = [retag((objects[0],) * n, None) for n in (1, 2, 3, 4) if n != len(objects)]
    elif kind == "relation":
        out = [replace(spec, relation=r) for r in RELATIONS if r != spec.relation]
    else:
        out = [edit(spec, kind, rng)]
    return [spec] + out


def draw(world: World, tags: tuple[str, ...], start: int, n: int) -> tuple[np.ndarray, list[SceneSpec]]:
    """n scenes whose tags cycle through ``tags`` -> images u8 [n,S,S,3], specs."""
    rng = np.random.Generator(np.random.Philox(key=[SEED, start]))
    specs = [sample_spec_of(tags[i % len(tags)], rng, extras=False) for i in range(n)]
    return world.batch(start, n, specs).images, specs


def blur(images: np.ndarray, side: int) -> np.ndarray:
    """Box-filtered to ``side`` pixels and enlarged again (bilinear): a soft preview."""
    from PIL import Image

    size = images.shape[1]
    small = [Image.fromarray(a).resize((side, side), Image.Resampling.BOX) for a in images]
    return np.stack([np.asarray(a.resize((size, size), Image.Resampling.BILINEAR)) for a in small])


def retrieval(model: DualEncoderOnnx, images: np.ndarray, specs: list[SceneSpec]) -> float:
    """Share of images whose own caption is first among 100 (itself and 99 that do not hold for it)."""
    rng = np.random.default_rng(SEED)
    cosines = model.images(images) @ model.texts([geneval_prompt(s) for s in specs]).T
    hits = 0
    for i, spec in enumerate(specs):
        others = [j for j in rng.permutation(len(specs)) if not compatible(spec, specs[j])][:99]
        hits += bool(cosines[i, i] > cosines[i, others].max())
    return hits / len(specs)


def discrimination(model: DualEncoderOnnx, world: World, kind: str, start: int, n: int) -> float:
    """Share of images whose own caption beats all its one-part alternatives."""
    images, specs = draw(world, KINDS[kind], start, n)
    rng = np.random.default_rng(start)
    image = model.images(images)
    lists = [alternatives(s, kind, rng) for s in specs]
    text = model.texts([geneval_prompt(s) for row in lists for s in row])
    hits, offset = 0, 0
    for i, row in enumerate(lists):
        scores = text[offset : offset + len(row)] @ image[i]
        hits += bool(scores[0] > scores[1:].max())
        offset += len(row)
    return hits / n


def evaluate(model: DualEncoderOnnx, n: int) -> dict[str, dict[str, float]]:
    """World -> measure -> share in 0..1."""
    tags = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
    report: dict[str, dict[str, float]] = {}
    for offset, (name, config) in enumerate(WORLDS.items()):
        world = World(config, SEED + offset)
        images, specs = draw(world, tags, 0, n)
        row = {"top1_of_100": retrieval(model, images, specs)}
        if name == "generator":
            row["top1_of_100_blur32"] = retrieval(model, blur(images, 32), specs)
            row["top1_of_100_blur16"] = retrieval(model, blur(images, 16), specs)
        for number, kind in enumerate(KINDS):
            row[kind] = discrimination(model, world, kind, 10_000 * (number + 1), n // 2)
        report[name] = {key: round(value, 4) for key, value in row.items()}
    return report


def as_markdown(worlds: dict[str, dict[str, float]]) -> str:
    """One row per world; empty where a measure was not taken."""
    columns = list(worlds["generator"])
    lines = ["| world | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, row in worlds.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[c]:.3f}" if c in row else "" for c in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    args = parser.parse_args()
    report = {"schemaVersion": 1, "scenes": args.scenes, "worlds": evaluate(DualEncoderOnnx(args.model), args.scenes)}
    text = json.dumps(report, indent=2)
    print(text)
    print(as_markdown(report["worlds"]))
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
