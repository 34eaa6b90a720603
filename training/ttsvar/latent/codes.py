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


class TokenPool:
    """Narrow tokens ``[N, 64, d]`` of unit variance and caption ids of all training scenes; the last ones are held out."""

    def __init__(self, pool: Path | str, narrow: Path | str = "checkpoints/narrow.pt"):
        scenes = load_pool(pool)
        self.ids, self.latents = scenes.ids, scenes.latents
        encoder = load_narrow(narrow)
        self.channels = encoder.channels
        with torch.no_grad():
            parts = [encoder.encode(part.float()).half() for part in self.latents.split(256)]
        self.tokens = torch.cat(parts).flatten(2).transpose(1, 2)

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(0, len(self.tokens) - HELD_OUT, (size,))
        return self.tokens[index].float(), self.ids[index]

    def held_out(self, size: int) -> tuple[Tensor, Tensor]:
        return self.tokens[-size:].float(), self.ids[-size:]

    @torch.no_grad()
    def start_embedding(self, embed: nn.Linear, trunk: Trunk) -> None:
        """Tokens start as the embedded transformer's view of the latents that they stand for, as far as that is linear."""
        wide = self.latents[:4096].float().flatten(2).transpose(1, 2).reshape(-1, self.latents.shape[1])
        token = self.tokens[:4096].float().reshape(-1, self.channels)
        token = torch.cat([token, torch.ones(len(token), 1)], 1)
        map_ = torch.linalg.lstsq(token, wide).solution
        word = trunk.body.word_embed
        embed.weight.copy_((map_[:-1] @ word.weight.T).T)
        embed.bias.copy_(map_[-1] @ word.weight.T + word.bias)
