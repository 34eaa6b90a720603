"""Writes pairs of scenes for the editing study: pictures, masks, and what the edited one should show.

    python -m ttsvar.varedit.write_pairs --count 100 --out ../results/runs/edit-pairs
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from ttsvar.varedit.pairs import Pair, Thing, draw_pair
from ttsvar.world import CLASSES, World, geneval_prompt, world_config
from ttsvar.world.spec import SceneSpec
from ttsvar.world.vocabulary import COLOR_NAMES

SEED = 9_500
KINDS = ("recolour", "replace", "add", "remove")


def _object(thing: Thing) -> tuple[str, str | None]:
    return CLASSES[thing.cls], None if thing.color is None else COLOR_NAMES[thing.color]


def metadata(pair: Pair) -> dict:
    """GenEval's row of the edited scene; what was taken away must be gone."""
    objects = tuple(_object(t) for t in pair.after)
    tag = ("colors" if objects[0][1] else "single_object") if len(objects) == 1 else (
        "color_attr" if any(color for _, color in objects) else "two_object"
    )  # fmt: skip
    include = [{"class": c, "count": 1} | ({"color": color} if color else {}) for c, color in objects]
    gone = [c for c, _ in map(_object, pair.before) if c not in [name for name, _ in objects]]
    row = {"tag": tag, "include": include, "prompt": geneval_prompt(SceneSpec(tag, objects))}
    return row | ({"exclude": [{"class": c, "count": 1} for c in gone]} if gone else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    world, rows = World(world_config(64), SEED), []
    for index in range(a.count):
        pair = draw_pair(world, SEED, index, KINDS[index % len(KINDS)])
        for side in ("source", "target"):
            Image.fromarray(getattr(pair, side)).save(a.out / f"{index:03d}-{side}.png")
        # Along the cells of the latent, so that no cell is half kept.
        cells = pair.mask.reshape(8, 8, 8, 8).any((1, 3)).repeat(8, 0).repeat(8, 1)
        Image.fromarray((cells[..., None] * np.full(3, 255)).astype(np.uint8)).save(a.out / f"{index:03d}-mask.png")
        rows.append({"index": index, "kind": pair.kind, "instruction": pair.instruction, "metadata": metadata(pair)})
    (a.out / "pairs.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
