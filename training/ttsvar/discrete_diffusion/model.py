"""Discrete diffusion of 8x8 codes with a uniform kernel (VQ-DDM): ``p(x_0 | x_t)`` of a whole canvas at once."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.latent.trunk import Prompt, TimeEmbedding, Trunk

OFFSET = 0.008


def keep_share(time: Tensor | float) -> Tensor:
    """Chance that a code is still there at ``t / T``: the cosine schedule's square root, as the paper's code has it."""
    time = torch.as_tensor(time, dtype=torch.float64)
    angle = math.pi / 2 * (time + OFFSET) / (1 + OFFSET)
    return torch.cos(angle).clamp(min=0) / math.cos(math.pi / 2 * OFFSET / (1 + OFFSET))


class DiscreteDiffusion(nn.Module):
    def __init__(self, entries: int, trunk: Trunk | None = None):
        super().__init__()
        self.trunk = trunk or Trunk()
        width = self.trunk.width
        self.embed = nn.Embedding(entries, width)
        self.time = TimeEmbedding(width)
        self.head = nn.Linear(width, entries)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def entries(self) -> int:
        return self.embed.num_embeddings

    def forward(self, codes: Tensor, time: Tensor, prompt: Prompt) -> Tensor:
        """codes ``[G, B, 64]``, time ``[G]`` in (0, 1] -> logits of the clean codes ``[G, B, 64, K]``."""
        x = self.embed(codes) + self.trunk.level
        return self.head(self.trunk(x, prompt, self.trunk.rope(), None, self.time(time)))


def load(path: Path | str) -> tuple[DiscreteDiffusion, dict]:
    saved = load_checkpoint(path)
    model = DiscreteDiffusion(saved["entries"])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
