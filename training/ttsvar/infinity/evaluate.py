"""Score the generator with a detector under GenEval's rules, and the ceiling set by the VAE.

    python -m ttsvar.infinity.evaluate --judge ../models/detector-a --per-tag 40 --candidates 4

Prints the share of passing images per tag and pass@k (unbiased estimate, oracle choice). ``--ceiling`` judges real
scenes and their VAE round trip instead.
"""

from __future__ import annotations

import argparse
import json
import time
from math import comb
from pathlib import Path

import numpy as np
import torch

from ttsvar.verifiers.detector.geneval import passes
from ttsvar.verifiers.detector.judge import Judge
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.sample import Settings, render, sample
from ttsvar.infinity.train_vae import EVALUATION_SEED
from ttsvar.infinity.vae import to_float
from ttsvar.world import TAGS, World, geneval_prompts, spec_from_metadata, world_config

PROMPT_SEED = 4_242


def pass_at(k: int, trials: int, successes: int) -> float:
    """Chance that at least one of ``k`` out of ``trials`` images passes."""
    return 1 - comb(trials - successes, k) / comb(trials, k)


def summary(metas: list[dict], passed: np.ndarray) -> dict:
    """Per tag and mean over tags: pass@1, 2, 4, ... of ``passed`` ``[prompts, candidates]``."""
    n = passed.shape[1]
    tags = np.array([m["tag"] for m in metas])
    out: dict = {}
    for k in [2**i for i in range(n.bit_length()) if 2**i <= n]:
        row = {t: float(np.mean([pass_at(k, n, int(s)) for s in passed[tags == t].sum(1)])) for t in TAGS}
        out[f"pass@{k}"] = {**{t: round(v, 3) for t, v in row.items()}, "mean": round(np.mean(list(row.values())), 3)}
    return out


def judge_samples(
    bundle: Bundle, judge: Judge, metas: list[dict], candidates: int, settings: Settings, seed: int = 0
) -> np.ndarray:
    """``[prompts, candidates]`` bool."""
    passed = []
    at_once = max(1, 64 // candidates)
    for start in range(0, len(metas), at_once):
        chunk = metas[start : start + at_once]
        latents = sample(bundle, [m["prompt"] for m in chunk], candidates, settings, seed + start)
        found = judge(render(bundle, latents.flatten(0, 1)))
        results = [passes(chunk[i // candidates], d) for i, d in enumerate(found)]
        passed.append(np.array(results).reshape(len(chunk), candidates))
    return np.concatenate(passed)


@torch.no_grad()
def judge_scenes(bundle: Bundle, judge: Judge, metas: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Passes of real scenes and of their round trips through VAE and bits."""
    world = World(world_config(), EVALUATION_SEED + 2)
    images = world.batch(0, len(metas), [spec_from_metadata(m) for m in metas]).images
    codes = [bundle.quantizer.encode(bundle.vae.encode(to_float(x))).cumulative[-1] for x in np.split(
        images, range(64, len(images), 64))]  # fmt: skip
    back = render(bundle, torch.cat(codes))
    real, trip = judge(images), judge(back)
    return (
        np.array([[passes(m, d)] for m, d in zip(metas, real)]),
        np.array([[passes(m, d)] for m, d in zip(metas, trip)]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--judge", type=Path, default=Path("../models/detector-a"))
    parser.add_argument("--per-tag", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--guidance", type=float, nargs="+", help="by scale; default: the embedded model's")
    parser.add_argument("--temperature", type=float, nargs="+", help="by scale; default: the embedded model's")
    parser.add_argument("--ceiling", action="store_true")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    a = parser.parse_args()
    bundle, judge = load_bundle(a.checkpoint, a.vae), Judge(a.judge)
    metas = geneval_prompts(a.per_tag, PROMPT_SEED)
    if a.ceiling:
        real, trip = judge_scenes(bundle, judge, metas)
        scores = {name: summary(metas, passed)["pass@1"] for name, passed in (("scenes", real), ("round_trip", trip))}
        record = {"judge": a.judge.name, "prompts": len(metas), **scores}
        print(json.dumps(record))
        if a.out:
            a.out.write_text(json.dumps(record, indent=1) + "\n")
        return
    start = time.time()
    chosen = Settings.embedded()
    settings = Settings(a.guidance or chosen.guidance, a.temperature or chosen.temperature)
    result = summary(metas, judge_samples(bundle, judge, metas, a.candidates, settings))
    record = {
        "guidance": list(settings.guidance), "temperature": list(settings.temperature), "prompts": len(metas),
        "candidates": a.candidates, "judge": a.judge.name, **result,
    }  # fmt: skip
    print(json.dumps({"seconds": round(time.time() - start, 1), **record}), flush=True)
    if a.out:
        a.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
