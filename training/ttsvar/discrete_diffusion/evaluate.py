"""Score VQ-DDM with a detector under GenEval's rules.

    python -m ttsvar.discrete_diffusion.evaluate --judge ../models/detector-b --per-tag 10 --candidates 8
"""

from __future__ import annotations

import torch

from ttsvar.discrete_diffusion.model import load
from ttsvar.discrete_diffusion.sample import sample
from ttsvar.latent.judge import evaluate, parser
from ttsvar.latent.model import load_codebook


def main() -> None:
    p = parser(__doc__, "vq-ddm")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.7)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    book = load_codebook(a.codebook)

    def draw(prompts: list[str], seed: int) -> torch.Tensor:
        codes = sample(model, prompts, a.candidates, a.steps, a.guidance, a.temperature, seed)
        return book.decode(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    evaluate(a, draw, info["images"], {"steps": a.steps, "guidance": a.guidance, "temperature": a.temperature})


if __name__ == "__main__":
    main()
