"""Training scenes as codes of a codebook."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.latent.fit import HELD_OUT
from ttsvar.latent.model import load_codebook, load_narrow
from ttsvar.latent.pool import load_pool
from ttsvar.latent.trunk import Trunk


class CodePool:
    """Codes ``[N, 64]`` and caption ids of all training scenes; the last ones are held out."""

    def __init__(self, pool: Path | str, codebook: Path | str, narrow: Path | str = "checkpoints/narrow.pt"):
        scenes = load_pool(pool)
        self.ids, self.latents = scenes.ids, scenes.latents
        self.codebook = load_codebook(codebook)
        encoder = load_narrow(narrow)
        with torch.no_grad():
            parts = [self.codebook.nearest(encoder.encode(part.float())) for part in self.latents.split(256)]
        self.codes = torch.cat(parts)

    @property
    def entries(self) -> int:
        return len(self.codebook.entries)

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(0, len(self.codes) - HELD_OUT, (size,))
        return self.codes[index], self.ids[index]

    def held_out(self, size: int) -> tuple[Tensor, Tensor]:
        return self.codes[-size:], self.ids[-size:]

    @torch.no_grad()
    def start_embedding(self, embed: nn.Embedding, trunk: Trunk) -> None:
        """Every code starts as what the embedded transformer sees in place of it: its mean latent, embedded."""
        flat = self.latents.float().flatten(2).transpose(1, 2).reshape(-1, self.latents.shape[1])
        index = self.codes.flatten()
        total = torch.zeros(self.entries, flat.shape[1]).index_add_(0, index, flat)
        mean = total / torch.bincount(index, minlength=self.entries).clamp(min=1)[:, None]
        embed.weight[: self.entries].copy_(trunk.body.word_embed(mean))
