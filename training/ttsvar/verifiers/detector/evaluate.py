"""Measures an exported detector on fresh scenes with GenEval's rules:

python -m ttsvar.verifiers.detector.evaluate --model models/detector-a [--per-tag 200] [--json out.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ...world import COLORS, TAGS, World, WorldConfig, geneval_prompts, spec_from_metadata
from .augment import blur, hybrids, rescale
from .data import to_tensor
from .geneval import THRESHOLD, Detection, passes
from .judge import Judge
from .targets import make_targets

EVALUATION_SEED = 9001
GENERATOR = dict(split="generator", drawings=1, layout="snapped", backgrounds="plain")
SETS: dict[str, tuple[dict, str]] = {
    "generator": (GENERATOR, "crisp"),
    "generator, 0.5x rescaled": (GENERATOR, "rescaled"),
    "generator, blur + noise": (GENERATOR, "blurred"),
    "verifier, snapped": (dict(split="verifier"), "crisp"),
    "verifier, free, varied": (dict(split="verifier", layout="free", backgrounds="varied"), "crisp"),
    "held-out drawings": (dict(split="heldout"), "crisp"),
}


def degrade(images: np.ndarray, kind: str) -> np.ndarray:
    """crisp | rescaled (to half and back) | blurred (Gaussian 0.8 px, then noise of 5 %)."""
    if kind == "crisp":
        return images
    x = to_tensor(images)
    if kind == "rescaled":
        x = rescale(x, 0.5)
    else:
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(EVALUATION_SEED))
        x = (blur(x, 0.8) + 0.05 * noise).clamp(0, 1)
    return (x * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy()


def fresh_scenes(size: int, config: dict, per_tag: int) -> tuple[list[dict], np.ndarray, list]:
    """GenEval-grammar prompts (the 80 single-object ones repeated as needed) and one scene for each."""
    metas = geneval_prompts(per_tag, EVALUATION_SEED)
    singles = [m for m in metas if m["tag"] == "single_object"]
    while sum(m["tag"] == "single_object" for m in metas) < per_tag:
        metas = metas + singles[: per_tag - sum(m["tag"] == "single_object" for m in metas)]
    batch = World(WorldConfig(size=size, **config), EVALUATION_SEED).batch(
        0, len(metas), [spec_from_metadata(m) for m in metas]
    )
    return metas, batch.images, batch.scenes


def chimera_rate(judge: Judge, n: int = 400) -> float:
    """Share of images with two half objects fused into one in which any class is still detected (score > 0.3)."""
    world = World(WorldConfig(size=judge.size, **GENERATOR), EVALUATION_SEED + 1)
    specs = [spec_from_metadata(m) for m in geneval_prompts({"colors": n}, EVALUATION_SEED + 1)]
    batch = world.batch(0, len(specs), specs)
    x = to_tensor(batch.images)
    target = make_targets([s.objects for s in batch.scenes], judge.size)
    half = judge.size / 2
    centred = [i for i, s in enumerate(batch.scenes) if abs(sum(s.objects[0].box[::2]) / 2 - half) < 3]
    hybrids(x, target, torch.tensor(centred), 1.0, torch.Generator().manual_seed(EVALUATION_SEED))
    rows = target.heat.amax((1, 2, 3)) == 0
    found = judge((x[rows] * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy())
    return float(np.mean([any(d.score > THRESHOLD for d in ds) for ds in found]))


def _inside(d: Detection, box: tuple[float, float, float, float]) -> bool:
    x, y = (d.box[0] + d.box[2]) / 2, (d.box[1] + d.box[3]) / 2
    return box[0] < x < box[2] and box[1] < y < box[3]


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


def evaluate(judge: Judge, per_tag: int) -> dict:
    """Pass rates by set and tag; colour confusion; wrong detections per image; mean IoU of true detections."""
    report: dict = {"per_tag": per_tag, "sets": {}}
    confusion = np.zeros((len(COLORS), len(COLORS)), int)
    names = list(COLORS)
    for label, (config, kind) in SETS.items():
        metas, images, scenes = fresh_scenes(judge.size, config, per_tag)
        found = judge(degrade(images, kind))
        by_tag: dict[str, list[bool]] = {t: [] for t in TAGS}
        by_color: dict[str, list[bool]] = {c: [] for c in names}
        wrong, overlaps = 0, []
        failed: dict[str, int] = {}
        for meta, scene, detections in zip(metas, scenes, found):
            ok = passes(meta, detections)
            by_tag[meta["tag"]].append(ok)
            if meta["tag"] == "single_object" and not ok:
                failed[meta["include"][0]["class"]] = failed.get(meta["include"][0]["class"], 0) + 1
            if meta["tag"] == "colors":
                by_color[meta["include"][0]["color"]].append(ok)
            for d in detections:
                if d.score <= THRESHOLD:
                    continue
                truth = next((t for t, (n, _) in zip(scene.objects, scene.spec.objects)
                              if n == d.cls and _inside(d, t.box)), None)  # fmt: skip
                if truth is None:
                    wrong += 1
                    continue
                overlaps.append(iou(d.box, truth.box))
                if label == "generator" and truth.color is not None:
                    confusion[truth.color, names.index(d.color)] += 1
        rates = {t: float(np.mean(v)) for t, v in by_tag.items()}
        report["sets"][label] = {
            **rates,
            "mean": float(np.mean(list(rates.values()))),
            "wrong_detections_per_image": wrong / len(metas),
            "mean_iou": float(np.mean(overlaps)) if overlaps else 0.0,
            "colors_by_color": {c: float(np.mean(v)) for c, v in by_color.items() if v},
            "single_object_failures": failed,
        }
    report["chimeras_detected_as_something"] = chimera_rate(judge)
    report["color_confusion"] = {"rows_true_columns_predicted": names, "counts": confusion.tolist()}
    return report


def as_markdown(report: dict) -> str:
    """Tables for the model card."""
    columns = [*TAGS, "mean"]
    lines = ["| scenes | " + " | ".join(columns) + " | wrong/image | IoU |", "|---|" + "---|" * (len(columns) + 2)]
    for label, r in report["sets"].items():
        cells = " | ".join(f"{r[c]:.3f}" for c in columns)
        lines.append(f"| {label} | {cells} | {r['wrong_detections_per_image']:.3f} | {r['mean_iou']:.2f} |")
    names = report["color_confusion"]["rows_true_columns_predicted"]
    lines += ["", "| true \\ predicted | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for name, row in zip(names, report["color_confusion"]["counts"]):
        lines.append(f"| {name} | " + " | ".join(str(v) if v else "" for v in row) + " |")
    lines += ["", f"Chimeras (two halves fused) detected as some class: {report['chimeras_detected_as_something']:.3f}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--per-tag", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the full report here")
    args = parser.parse_args()
    report = evaluate(Judge(args.model), args.per_tag)
    print(as_markdown(report))
    text = json.dumps(report)
    if args.json:
        args.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
