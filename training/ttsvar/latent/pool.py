"""Scenes encoded once for all trainers: latents of the embedded VAE and caption ids, in one file.

    python -m ttsvar.latent.pool --scenes 65536
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.common.training import load_checkpoint, save_checkpoint
from ttsvar.infinity.generator import pad
from ttsvar.infinity.latents import TAG_MIXES, draw_scenes
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import to_float
from ttsvar.world import World, world_config

SEED = 41
CHUNK = 128


@dataclass(frozen=True)
class Pool:
    """latents ``[N, 32, 8, 8]`` float16; ids ``[N, T]`` padded with 0."""

    latents: Tensor
    ids: Tensor


def load_pool(path: Path | str = "checkpoints/pool.pt") -> Pool:
    saved = load_checkpoint(path)
    return Pool(saved["latents"].to(torch.get_default_device()), pad(saved["ids"]))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=65_536)
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("checkpoints/pool.pt"))
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    vae, _ = load_vae(a.vae)
    world = World(world_config(), SEED)
    latents: list[Tensor] = []
    ids: list[list[int]] = []
    if a.out.exists():  # goes on where an earlier call ended
        saved = load_checkpoint(a.out)
        latents, ids = list(saved["latents"].split(CHUNK)), saved["ids"]
    for chunk in range(len(latents), a.scenes // CHUNK):
        # Both mixes in turn: pairs and recolourings are the hard part, the others must not be forgotten.
        images, captions = draw_scenes(world, chunk * CHUNK, CHUNK, TAG_MIXES["late" if chunk % 2 else "even"])
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(vae.encode(to_float(images)).half())
        ids.extend(captions)
        if chunk % 32 == 31 or (chunk + 1) * CHUNK >= a.scenes:
            save_checkpoint(a.out, {"latents": torch.cat(latents), "ids": ids})
            print(len(ids), flush=True)


if __name__ == "__main__":
    main()
