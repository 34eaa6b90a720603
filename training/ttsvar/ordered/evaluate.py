"""Score a model of ordered groups with a detector under GenEval's rules.

    python -m ttsvar.ordered.evaluate --judge ../models/detector-b --per-tag 10 --candidates 8
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ttsvar.frames.evaluate import moving, save_strips
from ttsvar.infinity.sample import save_grid
from ttsvar.latent.judge import judged, render
from ttsvar.latent.model import load_codebook
from ttsvar.latent.trunk import TOKENS
from ttsvar.ordered.model import load
from ttsvar.ordered.sample import sample


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/nar.pt")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--judge", type=Path, default=Path("../models/detector-b"))
    p.add_argument("--per-tag", type=int, default=10)
    p.add_argument("--prompts", type=int, default=32, help="of clips")
    p.add_argument("--candidates", type=int, default=8)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--picture", default="")
    p.add_argument("--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    book = load_codebook(a.codebook)

    def draw(prompts: list[str], seed: int) -> torch.Tensor:
        codes = sample(model, prompts, a.candidates, a.guidance, a.temperature, seed)
        return book.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def clips(text: str, seed: int) -> np.ndarray:
        codes = sample(model, [text], a.candidates, a.guidance, a.temperature, seed)[0]
        with torch.no_grad():
            return render(book.decode(codes.reshape(-1, TOKENS))).reshape(a.candidates, model.frames, 64, 64, 3)

    if model.frames > 1:
        a.seed, shown = 4_242, []
        result, count = moving(clips, a, shown), a.prompts
    else:
        with torch.no_grad():
            result, first = judged(draw, a.judge, a.per_tag, a.candidates)
        count = 6 * a.per_tag
    record = {
        "guidance": a.guidance, "temperature": a.temperature, "images": info["images"],
        "judge": a.judge.name, "prompts": count, "candidates": a.candidates, **result,
    }  # fmt: skip
    print(json.dumps(record), flush=True)
    if a.picture:
        if model.frames > 1:
            save_strips(a.picture, shown[:12])
        else:
            save_grid(a.picture, first, 10)
    if a.out:
        a.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
