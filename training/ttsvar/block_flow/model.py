"""Flow of 4x4 cells of an 8x8 canvas, one after the other; one trunk, two ways to train it.

``noisy`` (xAR): every cell has a time of its own and sees the earlier ones as noisy as they are; when drawing they are
clean. ``clean`` (ACDiT): a clean copy of the canvas stands before the noisy one, and noisy cells see clean earlier ones.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.latent.trunk import SIDE, TOKENS, Prompt, TimeEmbedding, Trunk

CELL = 4
CONTEXTS = ("noisy", "clean")


def cells() -> Tensor:
    """Row-major positions by cell, ``[4, 16]``."""
    at = torch.arange(TOKENS).view(SIDE, SIDE)
    blocks = at.unfold(0, CELL, CELL).unfold(1, CELL, CELL)
    return blocks.reshape(-1, CELL * CELL)


def masks(context: str) -> Tensor:
    """Additive mask of the training sequence: ``[64, 64]`` (noisy) or ``[128, 128]`` (clean copy first)."""
    cell = torch.arange(TOKENS) // (CELL * CELL)
    if context == "noisy":
        open_ = cell[:, None] >= cell[None]
    else:
        clean, own = cell[:, None] >= cell[None], cell[:, None] == cell[None]
        open_ = torch.cat([
            torch.cat([clean, torch.zeros_like(own)], 1), torch.cat([cell[:, None] > cell[None], own], 1)
        ])  # fmt: skip
    return torch.zeros(open_.shape).masked_fill_(~open_, -1e4)


class BlockFlow(nn.Module):
    def __init__(self, channels: int = 8, context: str = "noisy", trunk: Trunk | None = None):
        super().__init__()
        if context not in CONTEXTS:
            raise ValueError(f"context must be one of {CONTEXTS}, not {context}")
        self.channels, self.context = channels, context
        self.trunk = trunk or Trunk()
        self.embed = nn.Linear(channels, self.trunk.width)
        # Cells have times of their own, so time is added to tokens, not to the conditioning of the canvas.
        self.time = TimeEmbedding(self.trunk.width)
        self.head = nn.Linear(self.trunk.width, channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def rope(self) -> tuple[Tensor, Tensor]:
        """Tables in the order of cells, ``[64, hd/2]``."""
        order = cells().flatten()
        return tuple(table[order] for table in self.trunk.rope())

    def forward(self, tokens: Tensor, time: Tensor, prompt: Prompt, rope: tuple, mask: Tensor | None) -> Tensor:
        """``tokens`` ``[G, B, L, d]``, ``time`` ``[G, B, L]`` in [0, 1] -> velocities ``e - x`` of the same shape."""
        x = self.embed(tokens) + self.trunk.level + self.time(time)
        return self.head(self.trunk(x, prompt, rope, mask))

    def step(
        self, tokens: Tensor, time: Tensor, prompt: Prompt, rope: tuple, past: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """One cell after cached ones: ``[1, B, 16, d]``, ``time`` ``[1]`` -> velocities, and the cell's keys and values."""
        x = self.embed(tokens) + self.trunk.level + self.time(time)
        gss = self.trunk.body.shared_ada_lin(prompt.sos).float().unflatten(-1, (6, -1))
        new = []
        for index, block in enumerate(self.trunk.body.blocks):
            x, pair = block(x, gss, prompt.memory[index], prompt.bias, *rope, None, past[index] if past else None)
            new.append(pair)
        return self.head(self.trunk.output(x, prompt.sos)), new


def load(path: Path | str) -> tuple[BlockFlow, dict]:
    saved = load_checkpoint(path)
    model = BlockFlow(saved["channels"], saved["context"])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
