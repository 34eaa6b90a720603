"""Train a flow by cells, with noisy (xAR) or clean context (ACDiT).

    python -m ttsvar.block_flow.train --context noisy --minutes 18 --out checkpoints/xar.pt
    python -m ttsvar.block_flow.train --context clean --minutes 18 --out checkpoints/acdit.pt

``x_t = (1 - t) x + t e``; squared error of the velocity ``e - x``; times logit-normal, one for each cell; 10 % of the
prompts are dropped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.block_flow.model import CELL, CONTEXTS, BlockFlow, cells, masks
from ttsvar.latent.codes import TokenPool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.trunk import start_from


def losses(model: BlockFlow, tokens: Tensor, ids: Tensor, drop: Tensor | None) -> Tensor:
    """Squared error by sample; ``tokens`` ``[N, 64, d]`` row-major."""
    clean = tokens[:, cells().flatten()]
    time = torch.randn(len(tokens), 4).sigmoid().repeat_interleave(CELL * CELL, 1)
    noise = torch.randn_like(clean)
    noisy = (1 - time[..., None]) * clean + time[..., None] * noise
    mask, rope = masks(model.context), model.rope()
    if model.context == "clean":
        noisy, time = torch.cat([clean, noisy], 1), torch.cat([torch.zeros_like(time), time], 1)
        rope = tuple(torch.cat([table, table]) for table in rope)
    mask = mask.to(torch.bfloat16) if model.training else mask
    velocity = model(noisy[:, None], time[:, None], model.trunk.prompt(ids, drop), rope, mask)[:, 0]
    return F.mse_loss(velocity[:, -64:].float(), noise - clean, reduction="none").mean((1, 2))


def main() -> None:
    p = parser(__doc__, "xar")
    p.add_argument("--context", choices=CONTEXTS, default="noisy")
    a = p.parse_args()
    prepare(a)
    pool = TokenPool(a.pool)
    model = BlockFlow(pool.channels, a.context)
    start_from(model.trunk, a.start)
    pool.start_embedding(model.embed, model.trunk)

    def loss() -> Tensor:
        tokens, ids = pool.sample(a.batch)
        return losses(model, tokens, ids, torch.rand(a.batch) < 0.1).mean()

    def validate() -> dict:
        state = torch.get_rng_state()
        torch.manual_seed(1)
        with torch.no_grad(), autocast():
            value = losses(model, *pool.held_out(128), None).mean().item()
        torch.set_rng_state(state)
        return {"loss": round(value, 4)}

    fit(model, loss, validate, a, {"channels": pool.channels, "context": a.context})


if __name__ == "__main__":
    main()
