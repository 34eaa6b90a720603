"""Judge canvases: tokens -> pictures -> share that GenEval's rules pass, as ``ttsvar.infinity.evaluate`` does."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ttsvar.infinity.evaluate import PROMPT_SEED, summary
from ttsvar.infinity.sample import save_grid
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import to_uint8
from ttsvar.verifiers.detector.geneval import passes
from ttsvar.verifiers.detector.judge import Judge
from ttsvar.world import geneval_prompts


def parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Options of every family's evaluation."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default=f"checkpoints/{name}.pt")
    p.add_argument("--judge", type=Path, default=Path("../models/detector-b"))
    p.add_argument("--per-tag", type=int, default=10)
    p.add_argument("--candidates", type=int, default=8)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--picture", default="")
    p.add_argument("--out", type=Path)
    return p


@torch.no_grad()
def render(wide: Tensor, vae: str = "checkpoints/vae.pt") -> np.ndarray:
    """Wide latents ``[N, 32, h, w]`` -> uint8 ``[N, S, S, 3]``."""
    decoder, _ = load_vae(vae)
    with torch.autocast("cpu", torch.bfloat16):
        parts = [decoder.decode(x.contiguous(memory_format=torch.channels_last)).float() for x in wide.split(64)]
    return to_uint8(torch.cat(parts)).numpy()


def judged(
    draw: Callable[[list[str], int], Tensor], judge: Path, per_tag: int, candidates: int, at_once: int = 8
) -> tuple[dict, np.ndarray]:
    """pass@k of ``draw(prompts, seed)`` -> wide latents ``[prompts, candidates, 32, h, w]``; also pictures of the first."""
    metas = geneval_prompts(per_tag, PROMPT_SEED)
    model, passed, first = Judge(judge), [], []
    for start in range(0, len(metas), at_once):
        chunk = metas[start : start + at_once]
        pictures = render(draw([m["prompt"] for m in chunk], start).flatten(0, 1))
        first.append(pictures[::candidates])
        found = [passes(chunk[i // candidates], d) for i, d in enumerate(model(pictures))]
        passed.append(np.array(found).reshape(len(chunk), candidates))
    return summary(metas, np.concatenate(passed)), np.concatenate(first)


@torch.no_grad()
def evaluate(a: argparse.Namespace, draw: Callable[[list[str], int], Tensor], images: int, settings: dict) -> None:
    """Judge ``draw``, print the record with what it was drawn with, and write it where the options say."""
    result, first = judged(draw, a.judge, a.per_tag, a.candidates)
    if a.picture:
        save_grid(a.picture, first, 10)
    write_record(a, {**settings, "images": images, "prompts": 6 * a.per_tag, **result})


def write_record(a: argparse.Namespace, record: dict) -> None:
    record = {"judge": a.judge.name, "candidates": a.candidates, **record}
    print(json.dumps(record), flush=True)
    if a.out:
        a.out.write_text(json.dumps(record, indent=1) + "\n")
