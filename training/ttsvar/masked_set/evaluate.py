"""Score a masked-set mini with a detector under GenEval's rules.

    python -m ttsvar.masked_set.evaluate --judge ../models/detector-b --per-tag 10 --candidates 8
    python -m ttsvar.masked_set.evaluate --kind harmon            # constant guidance, away from a generic prompt
    python -m ttsvar.masked_set.evaluate --kind cascade --checkpoint checkpoints/cascade.pt --augment 0
"""

from __future__ import annotations

import torch

from ttsvar.latent.judge import evaluate, parser
from ttsvar.latent.model import load_narrow
from ttsvar.masked_set.conditioned import Cascade
from ttsvar.masked_set.conditioned import load as load_conditioned
from ttsvar.masked_set.export_verify import NEGATIVE
from ttsvar.masked_set.model import load
from ttsvar.masked_set.sample import sample, sample_cascade


def main() -> None:
    p = parser(__doc__, "mar")
    p.add_argument("--kind", choices=("mar", "harmon", "cascade"), default="mar")
    p.add_argument("--augment", type=float, default=0.5, help="cascade: time of the noise in the coarse canvas; 0: none")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--stages", type=int, default=8)
    p.add_argument("--head-steps", type=int, default=25)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--temperature", type=float, default=0.9)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load_conditioned(Cascade, a.checkpoint) if a.kind == "cascade" else load(a.checkpoint)
    narrow = load_narrow(a.narrow)

    def draw(prompts: list[str], seed: int) -> torch.Tensor:
        how = (model, prompts, a.candidates, a.stages, a.head_steps, a.guidance, a.temperature, seed)
        if a.kind == "cascade":
            tokens = sample_cascade(*how, augment=a.augment)
        else:
            tokens = sample(*how, linear=False, negative=NEGATIVE) if a.kind == "harmon" else sample(*how)
        canvas = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, (8, 8))
        return narrow.decode(canvas).unflatten(0, tokens.shape[:2])

    evaluate(a, draw, info["images"], {
        "kind": a.kind, **({"augment": a.augment} if a.kind == "cascade" else {}), "stages": a.stages,
        "headSteps": a.head_steps, "guidance": a.guidance, "temperature": a.temperature,
    })  # fmt: skip


if __name__ == "__main__":
    main()
