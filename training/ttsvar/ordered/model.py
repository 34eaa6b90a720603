"""Neighbouring autoregressive model of 8x8 codes (NAR): a head for each axis, averaged where a token has two neighbours.

``diagonal``: groups are anti-diagonals, drawn at once. ``raster``: one head, one token after the other (the baseline).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.model import InfinityConfig
from ttsvar.latent.trunk import SIDE, TOKENS, Prompt, Trunk

GROUPINGS = ("diagonal", "raster")


def sequence(grouping: str) -> tuple[Tensor, Tensor]:
    """Positions (row-major) in the order of drawing, and the group of each, both ``[64]``."""
    at = torch.arange(TOKENS)
    if grouping == "raster":
        return at, at
    group = at // SIDE + at % SIDE
    order = torch.argsort(group * TOKENS + at)  # within a diagonal from the top right to the bottom left
    return order, group[order]


def causal(group: Tensor) -> Tensor:
    """Additive ``[65, 65]``: everything sees the start and all groups up to its own."""
    level = torch.cat([torch.tensor([-1]), group])
    return torch.zeros(len(level), len(level)).masked_fill_(level[:, None] < level[None], -1e4)


def sources(grouping: str) -> tuple[Tensor, Tensor]:
    """For every position (row-major): where in the sequence (0: start) its right and its below prediction come from, or -1."""
    order, _ = sequence(grouping)
    place = torch.empty(TOKENS, dtype=torch.long)
    place[order] = torch.arange(TOKENS) + 1
    at = torch.arange(TOKENS)
    if grouping == "raster":
        return at.clone(), torch.full((TOKENS,), -1)
    row, column = at // SIDE, at % SIDE
    right = torch.where(column > 0, place[(at - 1).clamp(min=0)], -1)
    below = torch.where(row > 0, place[(at - SIDE).clamp(min=0)], -1)
    right[0] = below[0] = 0
    return right, below


class Ordered(nn.Module):
    def __init__(self, entries: int, grouping: str, trunk: Trunk | None = None):
        super().__init__()
        if grouping not in GROUPINGS:
            raise ValueError(f"grouping must be one of {GROUPINGS}, not {grouping}")
        # The last block stands under the second head only.
        self.grouping, self.two = grouping, grouping == "diagonal"
        self.trunk = trunk or Trunk(InfinityConfig(depth=6, block_chunks=6) if self.two else None)
        self.embed = nn.Embedding(entries + 1, self.trunk.width)  # the last entry starts the sequence
        self.right = nn.Linear(self.trunk.width, entries)
        self.below = nn.Linear(self.trunk.width, entries) if self.two else None
        for head in (self.right, self.below):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    @property
    def entries(self) -> int:
        return self.right.out_features

    def rope(self) -> tuple[Tensor, Tensor]:
        """Tables of the whole sequence, ``[65, hd/2]``; the start stands at the corner."""
        order, _ = sequence(self.grouping)
        return tuple(torch.cat([table[:1], table[order]]) for table in self.trunk.rope())

    def forward(
        self, codes: Tensor, prompt: Prompt, rope: tuple[Tensor, Tensor], mask: Tensor, at: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """``codes`` ``[G, B, L]`` in order, the first one the start -> logits of the next to the right and below.

        ``at`` ``[M]``: places whose logits are wanted, all by default: ``[G, B, M, K]`` each.
        """
        x = self.embed(codes) + self.trunk.level
        x = torch.cat([x[:, :, :1] + prompt.sos[:, None, None], x[:, :, 1:]], 2)
        depth = len(self.trunk.body.blocks)
        x, vector = self.trunk.blocks(x, prompt, rope, mask, None, 0, depth - 1 if self.two else depth)
        pick = (lambda y: y) if at is None else (lambda y: y.index_select(2, at))
        right = self.right(self.trunk.output(pick(x), vector))
        if self.below is None:
            return right, None
        y, _ = self.trunk.blocks(x, prompt, rope, mask, None, depth - 1, depth)
        return right, self.below(self.trunk.output(pick(y), vector))

    def targets(self, right: Tensor, below: Tensor | None) -> Tensor:
        """Logits by place ``[N, 65, K]`` -> logits by position ``[N, 64, K]``, averaged as when drawing."""
        from_right, from_below = sources(self.grouping)
        if below is None:
            return right[:, from_right]
        first, second = (from_right >= 0).float()[None, :, None], (from_below >= 0).float()[None, :, None]
        total = right[:, from_right.clamp(min=0)] * first + below[:, from_below.clamp(min=0)] * second
        return total / (first + second)

    def teacher(self, codes: Tensor, prompt: Prompt) -> Tensor:
        """Codes ``[N, 64]`` row-major -> logits of each given those before it ``[N, 64, K]``."""
        order, group = sequence(self.grouping)
        fed = torch.cat([torch.full((len(codes), 1), self.entries), codes[:, order]], 1)
        mask = causal(group)
        right, below = self(fed[:, None], prompt, self.rope(), mask.to(torch.bfloat16) if self.training else mask)
        return self.targets(right[:, 0], below[:, 0] if below is not None else None)


def load(path: Path | str) -> tuple[Ordered, dict]:
    saved = load_checkpoint(path)
    model = Ordered(saved["entries"], saved["grouping"])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
