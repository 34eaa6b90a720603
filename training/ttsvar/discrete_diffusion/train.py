"""Train VQ-DDM's denoiser on codes of the synthetic world.

    python -m ttsvar.discrete_diffusion.train --minutes 18

Loss: cross-entropy of the clean codes given codes at a uniformly drawn time (the paper adds the divergence of the
posteriors, whose minimum is the same). 10 % of the prompts are dropped for guidance, which the paper has not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.discrete_diffusion.model import DiscreteDiffusion, keep_share
from ttsvar.latent.codes import CodePool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.trunk import start_from


def corrupt(codes: Tensor, time: Tensor, entries: int) -> Tensor:
    """Codes ``[N, 64]`` at times ``[N]``: kept, or any code."""
    kept = torch.rand(codes.shape) < keep_share(time).float()[:, None]
    return torch.where(kept, codes, torch.randint(0, entries, codes.shape))


def losses(model: DiscreteDiffusion, codes: Tensor, ids: Tensor, time: Tensor, drop: Tensor | None) -> Tensor:
    """Cross-entropy by sample, ``[N]``, nats per code."""
    noisy = corrupt(codes, time, model.entries)
    logits = model(noisy[:, None], time, model.trunk.prompt(ids, drop))[:, 0]
    return F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none").mean(1)


def main() -> None:
    p = parser(__doc__, "vq-ddm")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    a = p.parse_args()
    prepare(a)
    pool = CodePool(a.pool, a.codebook)
    model = DiscreteDiffusion(pool.entries)
    start_from(model.trunk, a.start)
    pool.start_embedding(model.embed, model.trunk)

    def loss() -> Tensor:
        codes, ids = pool.sample(a.batch)
        return losses(model, codes, ids, torch.rand(a.batch).clamp(min=1e-3), torch.rand(a.batch) < 0.1).mean()

    def validate() -> dict:
        state = torch.get_rng_state()
        torch.manual_seed(1)
        codes, ids = pool.held_out(128)
        result = {}
        with torch.no_grad(), autocast():
            for time in (0.3, 0.6, 0.9):
                value = losses(model, codes, ids, torch.full((len(codes),), time), None).mean()
                result[f"t{time}"] = round(value.item(), 4)
        torch.set_rng_state(state)
        return result

    fit(model, loss, validate, a, {"entries": pool.entries, "codebook": a.codebook})


if __name__ == "__main__":
    main()
