"""Train a model of codes in ordered groups.

    python -m ttsvar.ordered.train --grouping diagonal --minutes 18
    python -m ttsvar.ordered.train --grouping raster --minutes 18 --out checkpoints/raster.pt
    python -m ttsvar.ordered.train --clips --start checkpoints/nar.pt --minutes 18 --out checkpoints/nar-video.pt

Cross-entropy of every code given the groups before it, averaged over heads as when drawing; 10 % of the prompts dropped.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.common.training import load_checkpoint
from ttsvar.frames.model import FRAMES
from ttsvar.frames.pool import ClipPool
from ttsvar.latent.codes import CodePool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.model import load_codebook
from ttsvar.latent.trunk import SIDE, start_from
from ttsvar.ordered.model import GROUPINGS, Ordered


def losses(model: Ordered, codes: Tensor, ids: Tensor, drop: Tensor | None) -> Tensor:
    """Cross-entropy by code, ``[N, L]``, nats."""
    logits = model.teacher(codes, model.trunk.prompt(ids, drop))
    return F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")


class ClipCodes:
    """Clips of the moving world as codes ``[N, frames * 64]`` with their prompts' ids."""

    def __init__(self, codebook: str):
        self.clips, book = ClipPool("moving"), load_codebook(codebook)
        self.entries = len(book.entries)
        flat = self.clips.tokens.flatten(0, -3).transpose(1, 2).unflatten(2, (SIDE, SIDE))
        parts = [book.nearest(part) for part in flat.split(1024)]
        self.clips.tokens = torch.cat(parts).view(self.clips.tokens.shape[:-1])
        self.rng = np.random.default_rng(0)

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        return self._flat(self.clips.sample(size, self.rng))

    def held_out(self, size: int) -> tuple[Tensor, Tensor]:
        """Things in colours that training never shows."""
        return self._flat(self.clips.sample(size, np.random.default_rng(1), held_out=True))

    @staticmethod
    def _flat(clip: tuple) -> tuple[Tensor, Tensor]:
        return clip[0].flatten(1), clip[1]


def start_clips(model: Ordered, path: str) -> None:
    """All that a model of pictures has; new words and the third head start from the first ones and from the second."""
    own = model.state_dict()
    for name, value in load_checkpoint(path)["state"].items():
        own[name][tuple(slice(0, n) for n in value.shape)] = value
    for part in ("weight", "bias"):
        own[f"later.{part}"].copy_(own[f"below.{part}"])
    model.load_state_dict(own)


def main() -> None:
    p = parser(__doc__, "nar")
    p.add_argument("--grouping", choices=GROUPINGS, default="diagonal")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--clips", action="store_true", help="of the moving world, from a model of pictures (--start)")
    a = p.parse_args()
    prepare(a)
    pool = ClipCodes(a.codebook) if a.clips else CodePool(a.pool, a.codebook)
    frames = FRAMES if a.clips else 1
    model = Ordered(pool.entries, a.grouping, None, frames)
    if a.clips:
        start_clips(model, a.start)
    else:
        start_from(model.trunk, a.start)
        pool.start_embedding(model.embed, model.trunk)

    def loss() -> Tensor:
        codes, ids = pool.sample(a.batch)
        return losses(model, codes, ids, torch.rand(a.batch) < 0.1).mean()

    def validate() -> dict:
        codes, ids = pool.held_out(128)
        with torch.no_grad(), autocast():
            return {"loss": round(losses(model, codes, ids, None).mean().item(), 4)}

    fit(model, loss, validate, a, {"entries": pool.entries, "grouping": a.grouping, "codebook": a.codebook, "frames": frames})


if __name__ == "__main__":
    main()
