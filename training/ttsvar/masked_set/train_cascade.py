"""Fine-tune MAR into a cascade of two levels (in the manner of MAR-3D): 4x4 coarse tokens, then 8x8 given those.

    python -m ttsvar.masked_set.train_cascade --minutes 14

The coarse canvas that the fine level reads has noise mixed in, of a time in [.4, .6]; a quarter of the batches read it clean, so
that one set of weights runs with condition augmentation and without. What depends on the prompt alone stays MAR's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ttsvar.latent.codes import TokenPool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.masked_set.conditioned import COARSE, Cascade, begin_with
from ttsvar.masked_set.model import signal
from ttsvar.masked_set.train import head_losses, hidden

CLEAN = 0.25
TIMES = (0.4, 0.6)


def mixed(coarse: Tensor, time: Tensor, noise: Tensor) -> Tensor:
    """Coarse tokens ``[N, 16, d]`` with noise of a time ``[N]``; at time 0 there is none."""
    kept = torch.where(time > 0, signal(time), torch.ones_like(time)).float()[:, None, None]
    return kept.sqrt() * coarse + (1 - kept).sqrt() * noise


def losses(model: Cascade, tokens: Tensor, ids: Tensor, time: Tensor, drop: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of the coarse level and of the fine one, by masked token."""
    prompt, size = model.trunk.prompt(ids, drop), len(tokens)
    coarse, known = model.coarsen(tokens), hidden(size, COARSE * COARSE)
    vectors = model.coarse(coarse[:, None], known[:, None], prompt)[:, 0]
    first = head_losses(model, coarse, vectors, known < 0.5)
    known, seen = hidden(size), mixed(coarse, time, torch.randn_like(coarse))
    vectors = model(tokens[:, None], known[:, None], prompt, seen[:, None], time)[:, 0]
    return first, head_losses(model, tokens, vectors, known < 0.5)


def freeze_prompt(model: Cascade) -> None:
    body = model.trunk.body
    for part in (model.trunk.text, body.text_norm, body.text_proj_for_sos, body.text_proj_for_ca):
        part.requires_grad_(False)
    body.cfg_uncond.requires_grad_(False)
    for block in body.blocks:
        block.ca.mat_kv.requires_grad_(False)
        block.ca.v_bias.requires_grad_(False)


def main() -> None:
    p = parser(__doc__, "cascade")
    p.add_argument("--from", dest="mar", default="checkpoints/mar.pt")
    a = p.parse_args()
    prepare(a)
    pool = TokenPool(a.pool)
    model = Cascade(pool.channels)
    begin_with(model, a.mar, a.start, pool)
    model.spread.copy_(model.coarsen(pool.tokens[:4096].float()).std((0, 1)))
    freeze_prompt(model)

    def loss() -> Tensor:
        tokens, ids = pool.sample(a.batch)
        low, high = TIMES
        time = torch.where(torch.rand(a.batch) < CLEAN, torch.zeros(a.batch), low + (high - low) * torch.rand(a.batch))
        coarse, fine = losses(model, tokens, ids, time, torch.rand(a.batch) < 0.1)
        return coarse.mean() + fine.mean()

    def validate() -> dict:
        state, quality = torch.get_rng_state(), {}
        tokens, ids = pool.held_out(128)
        for name, time in (("augmented", 0.5), ("clean", 0.0)):
            torch.manual_seed(1)
            with torch.no_grad(), autocast():
                coarse, fine = losses(model, tokens, ids, torch.full((128,), time), None)
            quality |= {"coarse": round(coarse.mean().item(), 4), name: round(fine.mean().item(), 4)}
        torch.set_rng_state(state)
        return quality

    fit(model, loss, validate, a, {"channels": pool.channels})


if __name__ == "__main__":
    main()
