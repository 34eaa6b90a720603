"""Score a flow by cells with a detector under GenEval's rules.

    python -m ttsvar.block_flow.evaluate --checkpoint checkpoints/xar.pt --judge ../models/detector-b --per-tag 10
"""

from __future__ import annotations

import torch

from ttsvar.block_flow.model import load
from ttsvar.block_flow.sample import sample
from ttsvar.latent.judge import evaluate, parser
from ttsvar.latent.model import load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.text.tokenizer import Tokenizer


def main() -> None:
    p = parser(__doc__, "xar")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=2.7)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    narrow = load_narrow(a.narrow)

    def one(text: str, seed: int) -> torch.Tensor:
        both = model.trunk.both(torch.tensor([Tokenizer().encode(text)]))
        groups = [Prompt(both.sos[g : g + 1], [(k[g : g + 1], v[g : g + 1]) for k, v in both.memory], None) for g in (0, 1)]
        tokens = sample(model, groups, a.candidates, a.steps, a.guidance, model.context == "noisy", seed)
        return narrow.decode(tokens.transpose(1, 2).unflatten(2, (8, 8)))

    def draw(prompts: list[str], seed: int) -> torch.Tensor:
        return torch.stack([one(text, seed + at) for at, text in enumerate(prompts)])

    evaluate(a, draw, info["images"], {"steps": a.steps, "guidance": a.guidance, "context": model.context})


if __name__ == "__main__":
    main()
