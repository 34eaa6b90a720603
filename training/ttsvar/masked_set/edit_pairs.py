"""Pairs of scenes that differ by one edit, as narrow tokens with instruction ids, in one file.

    python -m ttsvar.masked_set.edit_pairs --pairs 8192

The pairs are the ones that the next-scale editor learns from (``ttsvar.varedit.pairs``), of seeds of their own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ttsvar.common.stream import prefetch
from ttsvar.common.training import load_checkpoint, save_checkpoint
from ttsvar.infinity.generator import pad
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import to_float
from ttsvar.latent.fit import HELD_OUT
from ttsvar.latent.model import load_narrow
from ttsvar.varedit.pairs import draw_pair
from ttsvar.varedit.words import EditTokenizer
from ttsvar.world import World, world_config

SEED = 340
CHUNK = 64


class Pairs:
    """Sources and targets ``[N, 64, d]``; the last ones are held out."""

    def __init__(self, path: Path | str):
        saved = load_checkpoint(path)
        self.source, self.target, self.ids = saved["source"], saved["target"], pad(saved["ids"])

    def at(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.source[index].float(), self.target[index].float(), self.ids[index]

    def sample(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.at(torch.randint(0, len(self.ids) - HELD_OUT, (size,)))

    def held_out(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.at(torch.arange(len(self.ids) - size, len(self.ids)))


@torch.no_grad()
def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pairs", type=int, default=8_192)
    p.add_argument("--vae", default="checkpoints/vae.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path, default=Path("checkpoints/edit-pairs.pt"))
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    (vae, _), narrow, tokenizer = load_vae(a.vae), load_narrow(a.narrow), EditTokenizer()
    done = {"source": [], "target": [], "ids": []}
    if a.out.exists():  # goes on where an earlier call ended
        saved = load_checkpoint(a.out)
        done = {side: list(saved[side].split(CHUNK)) for side in ("source", "target")} | {"ids": saved["ids"]}

    def tokens(images: list[np.ndarray]) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            wide = vae.encode(to_float(np.stack(images)))
        return narrow.encode(wide.float().contiguous()).half().flatten(2).transpose(1, 2)

    world, first, last = World(world_config(64), SEED), len(done["source"]), a.pairs // CHUNK
    stream = prefetch(lambda chunk: [draw_pair(world, SEED, chunk * CHUNK + at) for at in range(CHUNK)], start=first)
    for chunk in range(first + 1, last + 1):
        pairs = next(stream)
        for side in ("source", "target"):
            done[side].append(tokens([getattr(pair, side) for pair in pairs]))
        done["ids"].extend(tokenizer.encode(pair.instruction) for pair in pairs)
        if chunk % 16 == 0 or chunk == last:
            save_checkpoint(a.out, {side: torch.cat(done[side]) for side in ("source", "target")} | {"ids": done["ids"]})
            print(len(done["ids"]), flush=True)


if __name__ == "__main__":
    main()
