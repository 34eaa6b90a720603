"""Neighbouring autoregressive model of 8x8 codes (NAR): a head for each axis, averaged where a token has more neighbours.

``diagonal``: groups are anti-diagonals, drawn at once; of clips planes of equal frame + row + column, with a third head.
``raster``: one head, one token after the other (the baseline).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.frames.words import MotionTokenizer
from ttsvar.infinity.model import InfinityConfig
from ttsvar.latent.trunk import SIDE, TOKENS, Prompt, Trunk
from ttsvar.text.encoder import TextConfig

GROUPINGS = ("diagonal", "raster")


def coordinates(frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frame, row and column of every position of a clip, ``[frames * 64]`` each."""
    at = torch.arange(frames * TOKENS)
    return at // TOKENS, at % TOKENS // SIDE, at % SIDE


def sequence(grouping: str, frames: int = 1) -> tuple[Tensor, Tensor]:
    """Positions (row-major, frame by frame) in the order of drawing, and the group of each, both ``[frames * 64]``."""
    at = torch.arange(frames * TOKENS)
    if grouping == "raster":
        return at, at
    group = sum(coordinates(frames))
    order = torch.argsort(group * len(at) + at)  # within a diagonal from the top right to the bottom left
    return order, group[order]


def causal(group: Tensor) -> Tensor:
    """Additive ``[L + 1, L + 1]``: everything sees the start and all groups up to its own."""
    level = torch.cat([torch.tensor([-1]), group])
    return torch.zeros(len(level), len(level)).masked_fill_(level[:, None] < level[None], -1e4)


def sources(grouping: str, frames: int = 1) -> list[Tensor]:
    """For every head and position: where in the sequence (0: start) its prediction comes from, or -1.

    Heads predict to the right, below, and in the next frame.
    """
    order, _ = sequence(grouping, frames)
    at = torch.arange(len(order))
    if grouping == "raster":
        return [at.clone()]
    place = torch.empty(len(order), dtype=torch.long)
    place[order] = at + 1
    frame, row, column = coordinates(frames)
    found = []
    for along, back in [(column, 1), (row, SIDE), *([(frame, TOKENS)] if frames > 1 else [])]:
        neighbour = torch.where(along > 0, place[(at - back).clamp(min=0)], -1)
        neighbour[0] = 0
        found.append(neighbour)
    return found


class Ordered(nn.Module):
    def __init__(self, entries: int, grouping: str, trunk: Trunk | None = None, frames: int = 1):
        super().__init__()
        if grouping not in GROUPINGS:
            raise ValueError(f"grouping must be one of {GROUPINGS}, not {grouping}")
        self.grouping, self.frames, self.two = grouping, frames, grouping == "diagonal"
        self.trunk = trunk or own_trunk(self.two, frames)
        self.embed = nn.Embedding(entries + 1, self.trunk.width)  # the last entry starts the sequence
        self.right = nn.Linear(self.trunk.width, entries)
        # The last block stands under these heads only.
        self.below = nn.Linear(self.trunk.width, entries) if self.two else None
        self.later = nn.Linear(self.trunk.width, entries) if frames > 1 else None
        for head in (self.right, self.below, self.later):
            if head is not None:
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)
        self.frame = nn.Embedding(frames, self.trunk.width) if frames > 1 else None

    @property
    def entries(self) -> int:
        return self.right.out_features

    def rope(self) -> tuple[Tensor, Tensor]:
        """Tables of the whole sequence, ``[L + 1, hd/2]``; the start stands at the corner."""
        order, _ = sequence(self.grouping, self.frames)
        return tuple(torch.cat([table[:1], table[order % TOKENS]]) for table in self.trunk.rope())

    def forward(
        self, codes: Tensor, prompt: Prompt, rope: tuple[Tensor, Tensor], mask: Tensor, at: Tensor | None = None
    ) -> list[Tensor]:
        """``codes`` ``[G, B, L]`` in order, the first one the start -> by head, the logits of the neighbour.

        ``at`` ``[M]``: places whose logits are wanted, all by default: ``[G, B, M, K]`` each.
        """
        x = self.embed(codes) + self.trunk.level
        if self.frame is not None:
            order, _ = sequence(self.grouping, self.frames)
            frames = torch.cat([torch.zeros(1, dtype=torch.long), order // TOKENS])[: codes.shape[-1]]
            x = x + self.frame(frames)
        x = torch.cat([x[:, :, :1] + prompt.sos[:, None, None], x[:, :, 1:]], 2)
        depth = len(self.trunk.body.blocks)
        x, vector = self.trunk.blocks(x, prompt, rope, mask, None, 0, depth - 1 if self.two else depth)
        pick = (lambda y: y) if at is None else (lambda y: y.index_select(2, at))
        logits = [self.right(self.trunk.output(pick(x), vector))]
        if self.two:
            y, _ = self.trunk.blocks(x, prompt, rope, mask, None, depth - 1, depth)
            y = self.trunk.output(pick(y), vector)
            logits += [head(y) for head in (self.below, self.later) if head is not None]
        return logits

    def targets(self, logits: list[Tensor]) -> Tensor:
        """Logits by place ``[N, L + 1, K]`` -> logits by position ``[N, L, K]``, averaged as when drawing."""
        total, count = 0, 0
        for own, place in zip(logits, sources(self.grouping, self.frames)):
            there = (place >= 0).float()[None, :, None]
            total, count = total + own[:, place.clamp(min=0)] * there, count + there
        return total / count

    def teacher(self, codes: Tensor, prompt: Prompt) -> Tensor:
        """Codes ``[N, L]``, frame by frame row-major -> logits of each given those before it ``[N, L, K]``."""
        order, group = sequence(self.grouping, self.frames)
        fed = torch.cat([torch.full((len(codes), 1), self.entries), codes[:, order]], 1)
        mask = causal(group)
        logits = self(fed[:, None], prompt, self.rope(), mask.to(torch.bfloat16) if self.training else mask)
        return self.targets([own[:, 0] for own in logits])


def own_trunk(two: bool, frames: int) -> Trunk:
    config = InfinityConfig(depth=6, block_chunks=6) if two else None
    return Trunk(config, TextConfig(vocab_size=len(MotionTokenizer())) if frames > 1 else None)


def load(path: Path | str) -> tuple[Ordered, dict]:
    saved = load_checkpoint(path)
    model = Ordered(saved["entries"], saved["grouping"], None, saved.get("frames", 1))
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
