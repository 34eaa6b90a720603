"""Calibrates the class scores on fresh scenes and exports the model folder.

GenEval uses two fixed thresholds: 0.3, and 0.9 for counting. The network's raw scores do not know them, so the
best raw logit for each is searched and one affine map (scale, shift) is baked into the graph that moves those
logits to logit(0.3) and logit(0.9).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch

from ...world import World, WorldConfig, geneval_prompts, spec_from_metadata
from ...world.paths import CACHE, MODELS
from .augment import AugmentConfig, augment
from .data import to_tensor
from .export import write_folder
from .model import Detector, DetectorConfig, YolosHead

FIRST_CALIBRATION_SEED = 7000
F1_SLACK, EXACT_SLACK = 0.01, 0.05
# Half of every calibration scene set is degraded: thresholds must suit generated images too.
CALIBRATION_WORLDS = (
    dict(split="generator", drawings=1),
    dict(split="generator", drawings=1),
    dict(split="verifier"),
    dict(split="verifier", layout="free", backgrounds="varied"),
)


def calibration_seeds(training_seed: int) -> list[int]:
    """Of the scenes that calibrate the model trained with ``training_seed``: no two models share one."""
    first = FIRST_CALIBRATION_SEED + training_seed * len(CALIBRATION_WORLDS)
    return list(range(first, first + len(CALIBRATION_WORLDS)))


@torch.no_grad()
def _evidence(head: YolosHead, size: int, seeds: list[int]) -> tuple[np.ndarray, np.ndarray, int, list[tuple[np.ndarray, int]]]:
    """(logits of all peaks, whether each is the first hit of a true object, number of true objects,
    per counting scene (logits of the counted class, wanted count))."""
    peaks: list[float] = []
    hits: list[bool] = []
    counting: list[tuple[np.ndarray, int]] = []
    truths = 0
    for k, (seed, kw) in enumerate(zip(seeds, CALIBRATION_WORLDS, strict=True)):
        metas = geneval_prompts(64, seed)
        world = World(WorldConfig(size=size, **kw), seed)
        batch = world.batch(0, len(metas), [spec_from_metadata(m) for m in metas])
        x = to_tensor(batch.images)
        if k % 2:
            x = augment(x, AugmentConfig(hybrid=0), torch.Generator().manual_seed(seed))
        for at in range(0, len(x), 64):
            logits, boxes, _ = head(x[at : at + 64])
            score = logits[..., :80].max(-1)
            raw = (score.values - logits[..., 80]).numpy()  # log p - log(1 - p) is the logit again
            centres = (boxes[..., :2] * size).numpy()
            for i, scene in enumerate(batch.scenes[at : at + 64]):
                found = score.indices[i].numpy()
                truths += len(scene.objects)
                open_truths = list(scene.objects)
                for q in range(len(found)):
                    cx, cy = centres[i, q]
                    hit = next((t for t in open_truths if t.cls == found[q] and t.box[0] < cx < t.box[2]
                                and t.box[1] < cy < t.box[3]), None)  # fmt: skip
                    if hit is not None:
                        open_truths.remove(hit)
                    peaks.append(float(raw[i, q]))
                    hits.append(hit is not None)
                if scene.spec.tag == "counting":
                    counting.append((raw[i][found == scene.objects[0].cls], len(scene.objects)))
    return np.array(peaks), np.array(hits), truths, counting


def calibrate(head: YolosHead, size: int, seeds: list[int]) -> tuple[float, float, dict[str, float]]:
    """(scale, shift, figures): a high F1 of all detections at 0.3, a high exact-count rate at 0.9.

    Both curves are flat around their best. Of the thresholds within F1_SLACK or EXACT_SLACK of it the lowest serves
    0.3 and the highest 0.9: the further they are apart, the more gradual is the score, which is also a reward.
    """
    peaks, hits, truths, counting = _evidence(head, size, seeds)
    grid = np.arange(-5.0, 4.0, 0.05)
    f1 = np.array([2 * (hits & (peaks > t)).sum() / ((peaks > t).sum() + truths) for t in grid])
    exact = np.array([np.mean([(raw > t).sum() == n for raw, n in counting]) for t in grid])
    low = float(grid[f1 >= f1.max() - F1_SLACK].min())
    high = max(float(grid[exact >= exact.max() - EXACT_SLACK].max()), low + 0.5)
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    scale = (logit(0.9) - logit(0.3)) / (high - low)
    figures = {"raw_logit_at_0.3": low, "raw_logit_at_0.9": high, "f1": float(f1.max()), "exact": float(exact.max())}
    return scale, logit(0.3) - scale * low, figures


def calibrate_and_export(checkpoint: Path, folder: Path, size: int = 64) -> None:
    saved = torch.load(checkpoint, weights_only=False)
    detector = Detector(DetectorConfig(**saved["model"]))
    detector.load_state_dict(saved["state"])
    detector.eval()
    scale, shift, figures = calibrate(YolosHead(detector).eval(), size, calibration_seeds(saved["seed"]))
    print(json.dumps({"scale": scale, "shift": shift, **figures}))
    write_folder(YolosHead(detector, scale, shift), folder, size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Re-calibrate and export a trained checkpoint.")
    parser.add_argument("--name", choices=("a", "b"), required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    calibrate_and_export(
        CACHE / f"detector-{args.name}.pt",
        args.out or MODELS / f"detector-{args.name}",
    )
