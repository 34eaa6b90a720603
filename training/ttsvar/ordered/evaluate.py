"""Score a model of ordered groups with a detector under GenEval's rules.

    python -m ttsvar.ordered.evaluate --judge ../models/detector-b --per-tag 10 --candidates 8
"""

from __future__ import annotations

import numpy as np
import torch

from ttsvar.frames.evaluate import moving, save_strips
from ttsvar.latent.judge import evaluate, parser, render, write_record
from ttsvar.latent.model import load_codebook
from ttsvar.latent.trunk import TOKENS
from ttsvar.ordered.model import load
from ttsvar.ordered.sample import sample


def main() -> None:
    p = parser(__doc__, "nar")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--prompts", type=int, default=32, help="of clips")
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--heads", choices=("both", "right", "below"), default="both")
    p.add_argument("--seed", type=int, default=4_242, help="of clips")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    book = load_codebook(a.codebook)
    settings = {"guidance": a.guidance, "temperature": a.temperature, "heads": a.heads}

    def draw(prompts: list[str], seed: int) -> torch.Tensor:
        codes = sample(model, prompts, a.candidates, a.guidance, a.temperature, seed, a.heads)
        return book.decode(codes.unflatten(2, (-1, TOKENS)).flatten(0, 2)).unflatten(0, (*codes.shape[:2], model.frames))

    def clips(text: str, seed: int) -> np.ndarray:
        with torch.no_grad():
            return render(draw([text], seed)[0].flatten(0, 1)).reshape(a.candidates, model.frames, 64, 64, 3)

    if model.frames == 1:
        evaluate(a, lambda prompts, seed: draw(prompts, seed)[:, :, 0], info["images"], settings)
        return
    shown: list[np.ndarray] = []
    write_record(a, {**settings, "images": info["images"], "prompts": a.prompts, **moving(clips, a, shown)})
    if a.picture:
        save_strips(a.picture, shown[:12])


if __name__ == "__main__":
    main()
