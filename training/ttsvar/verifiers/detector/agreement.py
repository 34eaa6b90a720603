"""Agreement of a judge's verdicts with the world's ground truth, by tag.

    python -m ttsvar.verifiers.detector.agreement --model ../models/detector-b

Half of the scenes are what the prompt says, half differ from it in one colour, count, class or relation. The truth of a
pair is GenEval's rule applied to the objects that were drawn; the verdict is the rule applied to what was detected.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ttsvar.verifiers.dual_encoder.specs import random_edit
from ttsvar.world import CLASSES, COLORS, World, WorldConfig, geneval_prompts, spec_from_metadata

from .evaluate import degrade
from .geneval import Detection, passes
from .judge import Judge

SEED = 9_401
TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
KINDS = {"crisp": "crisp", "blur + noise": "blurred"}


def truth(meta: dict, objects: list) -> bool:
    """GenEval's rule on the drawn objects themselves."""
    names = list(COLORS)
    drawn = [Detection(CLASSES[o.cls], 1.0, o.box, "" if o.color is None else names[o.color]) for o in objects]
    return passes(meta, drawn)


def agreement(judge: Judge, per_tag: int, kind: str) -> dict[str, dict[str, float]]:
    """Precision, recall and counts of the verdict "correct" by tag; ``per_tag`` right and as many wrong scenes each."""
    rng = np.random.default_rng(SEED)
    world = World(WorldConfig(size=judge.size), SEED)
    report: dict[str, dict[str, float]] = {}
    for tag in TAGS:
        available = min(per_tag, 80) if tag == "single_object" else per_tag
        metas = geneval_prompts({tag: available}, SEED)
        specs = [spec_from_metadata(m) for m in metas]
        batch = world.batch(0, 2 * len(specs), [*specs, *(random_edit(s, rng) for s in specs)])
        found = judge(degrade(batch.images, kind))
        counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
        for meta, scene, detections in zip([*metas, *metas], batch.scenes, found):
            right, verdict = truth(meta, scene.objects), passes(meta, detections)
            counts[("t" if right == verdict else "f") + ("p" if verdict else "n")] += 1
        precision = counts["tp"] / max(1, counts["tp"] + counts["fp"])
        recall = counts["tp"] / max(1, counts["tp"] + counts["fn"])
        report[tag] = {"precision": round(precision, 4), "recall": round(recall, 4), **counts}
    return report


def agreements(judge: Judge, per_tag: int = 200) -> dict[str, dict[str, dict[str, float]]]:
    """:func:`agreement` on crisp and on degraded scenes."""
    return {name: agreement(judge, per_tag, kind) for name, kind in KINDS.items()}


def as_markdown(reports: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = [f"| scenes | figure | {' | '.join(TAGS)} |", "|---|---|" + "---|" * len(TAGS)]
    for name, report in reports.items():
        for figure in ("precision", "recall"):
            cells = " | ".join(f"{report[tag][figure]:.3f}" for tag in TAGS)
            lines.append(f"| {name} | {figure} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--per-tag", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    reports = agreements(Judge(arguments.model), arguments.per_tag)
    print(json.dumps(reports, indent=2) if arguments.json else as_markdown(reports))


if __name__ == "__main__":
    main()
