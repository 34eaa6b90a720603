"""Train a model of codes in ordered groups.

    python -m ttsvar.ordered.train --grouping diagonal --minutes 18
    python -m ttsvar.ordered.train --grouping raster --minutes 18 --out checkpoints/raster.pt

Cross-entropy of every code given the groups before it, averaged over heads as when drawing; 10 % of the prompts dropped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.latent.codes import CodePool
from ttsvar.latent.fit import fit, parser
from ttsvar.latent.trunk import start_from
from ttsvar.ordered.model import GROUPINGS, Ordered


def losses(model: Ordered, codes: Tensor, ids: Tensor, drop: Tensor | None) -> Tensor:
    """Cross-entropy by code, ``[N, 64]``, nats."""
    logits = model.teacher(codes, model.trunk.prompt(ids, drop))
    return F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")


def main() -> None:
    p = parser(__doc__, "nar")
    p.add_argument("--grouping", choices=GROUPINGS, default="diagonal")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    a = p.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    pool = CodePool(a.pool, a.codebook)
    model = Ordered(pool.entries, a.grouping)
    start_from(model.trunk, a.start)
    pool.start_embedding(model.embed, model.trunk)

    def loss() -> Tensor:
        codes, ids = pool.sample(a.batch)
        return losses(model, codes, ids, torch.rand(a.batch) < 0.1).mean()

    def validate() -> dict:
        codes, ids = pool.held_out(128)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return {"loss": round(losses(model, codes, ids, None).mean().item(), 4)}

    fit(model, loss, validate, a, {"entries": pool.entries, "grouping": a.grouping, "codebook": a.codebook})


if __name__ == "__main__":
    main()
