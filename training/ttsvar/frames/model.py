"""Next frame by flow matching (FAR), and a plan that comes before the frames and steers them (Epona).

A frame of 8x8 tokens goes in as 4x4 patches, one that is further back than ``SHORT`` frames as 2x2: recent frames in
full, older ones in outline. Frames see themselves and earlier ones. A frame that is finished carries a tag of its own in
place of a time.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.frames.words import MotionTokenizer
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.latent.trunk import SIDE, Prompt, TimeEmbedding, Trunk
from ttsvar.text.encoder import TextConfig

Pairs = list[tuple[Tensor, Tensor]]

FRAMES = 5
#: Frames of the context that are read in full.
SHORT = 2
#: Sides of a patch, in tokens: of frames in full, and of older ones.
FULL, OUTLINE = 2, 4
#: Patches of a frame: the outline's come first.
OUTLINE_PLACES, FULL_PLACES = torch.arange(4), torch.arange(4, 20)
#: Poses are rounded to one of so many places by axis.
BINS = 5


def small_trunk() -> Trunk:
    text = TextConfig(vocab_size=len(MotionTokenizer()))
    return Trunk(InfinityConfig(depth=4, width=160, heads=4, block_chunks=4, mlp_ratio=4.0), text)


def patches(tokens: Tensor, side: int) -> Tensor:
    """``[..., 64, d]`` row-major -> ``[..., (8/side)^2, side*side*d]``."""
    *lead, _, d = tokens.shape
    n = SIDE // side
    x = tokens.reshape(*lead, n, side, n, side, d)
    return x.transpose(-4, -3).reshape(*lead, n * n, side * side * d)


def unpatched(x: Tensor, side: int) -> Tensor:
    """The inverse of ``patches``."""
    *lead, _, values = x.shape
    n = SIDE // side
    x = x.reshape(*lead, n, n, side, side, values // side**2)
    return x.transpose(-4, -3).reshape(*lead, SIDE * SIDE, values // side**2)


class FrameFlow(nn.Module):
    """``plan``: also a flow of poses, which frames are told."""

    def __init__(
        self, channels: int = 8, plan: bool = False, trunk: Trunk | None = None, frames: int = FRAMES, short: int = SHORT
    ):
        super().__init__()
        self.channels, self.plan, self.frames, self.short = channels, plan, frames, short
        self.trunk = trunk or small_trunk()
        width = self.trunk.width
        self.embed = nn.Linear(FULL**2 * channels, width)
        self.outline = nn.Linear(OUTLINE**2 * channels, width)
        self.place = nn.Parameter(torch.randn((SIDE // FULL) ** 2, width) * 0.5)
        self.place_outline = nn.Parameter(torch.randn((SIDE // OUTLINE) ** 2, width) * 0.5)
        self.index = nn.Embedding(frames, width)
        self.time = TimeEmbedding(width)
        self.finished = nn.Parameter(torch.randn(width) * 0.5)
        self.head = nn.Linear(width, FULL**2 * channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if plan:
            self.pose = nn.ModuleList([nn.Embedding(BINS, width) for _ in range(2)])
            self.planner = Planner(frames, width)

    def rope(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Tables of a frame in full and of one in outline."""
        n = SIDE // FULL
        schedule = Schedule.square([SIDE // OUTLINE, n])
        head = self.trunk.body.config.head_dim
        return schedule.rope(1, head), schedule.rope(0, head)

    def frame(self, index: Tensor, poses: Tensor | None) -> Tensor:
        """What is added to all tokens of frames: ``index`` ``[F]``, ``poses`` ``[..., F, 2]`` bins -> ``[..., F, C]``."""
        own = self.index(index)
        return own if poses is None else own + self.pose[0](poses[..., 0]) + self.pose[1](poses[..., 1])

    def enter(self, tokens: Tensor, frame: Tensor, mark: Tensor) -> Tensor:
        """Frames in full ``[..., F, 64, d]``, ``frame`` and ``mark`` ``[..., F, C]`` -> ``[..., F*16, C]``."""
        x = self.embed(patches(tokens, FULL)) + self.place + (frame + mark)[..., None, :]
        return x.flatten(-3, -2)

    def enter_outline(self, tokens: Tensor, frame: Tensor) -> Tensor:
        x = self.outline(patches(tokens, OUTLINE)) + self.place_outline + (frame + self.finished)[..., None, :]
        return x.flatten(-3, -2)

    def forward(
        self, tokens: Tensor, time: Tensor, clean: Tensor, prompt: Prompt, first: int, poses: Tensor | None
    ) -> Tensor:
        """Velocities ``e - x`` of ``short + 1`` frames after ``first`` older ones.

        tokens ``[N, F, 64, d]``, the older frames finished; time and clean (bool) ``[N, short + 1]``; poses ``[N, F, 2]``.
        """
        last = first + self.short + 1
        frame = self.frame(torch.arange(last), None if poses is None else poses[:, :last])
        frame = frame.expand(len(tokens), -1, -1)
        mark = torch.where(clean[..., None], self.finished, self.time(time))
        x = self.enter(tokens[:, first:last], frame[:, first:], mark)
        full, outline = self.rope()
        tables, of = [full] * (self.short + 1), [torch.full((16,), f) for f in range(first, last)]
        if first:
            x = torch.cat([self.enter_outline(tokens[:, :first], frame[:, :first]), x], 1)
            tables, of = [outline] * first + tables, [torch.full((4,), f) for f in range(first)] + of
        rope = tuple(torch.cat([table[part] for table in tables]) for part in (0, 1))
        of = torch.cat(of)
        mask = torch.zeros(len(of), len(of)).masked_fill_(of[:, None] < of[None], -1e4)
        hidden = self.trunk(x[:, None], prompt, rope, mask.to(torch.bfloat16) if self.training else mask)[:, 0]
        return unpatched(self.head(hidden[:, -16 * (self.short + 1) :]).unflatten(1, (self.short + 1, 16)), FULL)

    def read(
        self, tokens: Tensor, time: Tensor, index: Tensor, places: Tensor, prompt: Prompt, poses: Tensor | None, past: Pairs
    ) -> tuple[Tensor, Pairs]:
        """One frame after cached ones: ``tokens`` ``[B, 64, d]``, ``time`` ``[1]`` (below 0: it is finished), ``index``
        ``[1]``, ``poses`` ``[B, 2]``; ``places`` picks patches, ``OUTLINE_PLACES`` or ``FULL_PLACES``.

        Gives velocities of these patches ``[B, L, 4 d]``, and their keys and values.
        """
        told = self.frame(index, None if poses is None else poses[:, None])
        mark = torch.where(time[:, None] < 0, self.finished, self.time(time.clamp(min=0)))
        frame = tokens[:, None]
        x = torch.cat([self.enter_outline(frame, told), self.enter(frame, told, mark)], 1).index_select(1, places)
        full, outline = self.rope()
        rope = tuple(torch.cat([o, f]).index_select(0, places) for o, f in zip(outline, full))
        hidden, new = self._pass(x, prompt, rope, past)
        return self.head(hidden), new

    def step(
        self, tokens: Tensor, time: Tensor, index: Tensor, prompt: Prompt, poses: Tensor | None, past: Pairs
    ) -> tuple[Tensor, Pairs]:
        """A frame in full: velocities ``[B, 64, d]``, and its keys and values."""
        velocity, new = self.read(tokens, time, index, FULL_PLACES, prompt, poses, past)
        return unpatched(velocity, FULL), new

    def outline_step(self, tokens: Tensor, index: Tensor, prompt: Prompt, poses: Tensor | None, past: Pairs) -> Pairs:
        """Keys and values of a finished frame in outline."""
        return self.read(tokens, torch.tensor([-1.0]), index, OUTLINE_PLACES, prompt, poses, past)[1]

    def _pass(self, x: Tensor, prompt: Prompt, rope: tuple, past: Pairs) -> tuple[Tensor, Pairs]:
        """``x`` ``[B, L, C]`` -> final hidden states and the blocks' keys and values."""
        gss = self.trunk.body.shared_ada_lin(prompt.sos).float().unflatten(-1, (6, -1))
        x, new = x[None], []
        for number, block in enumerate(self.trunk.body.blocks):
            x, pair = block(x, gss, prompt.memory[number], prompt.bias, *rope, None, past[number] if past else None)
            new.append(pair)
        return self.trunk.output(x, prompt.sos)[0], new


class Planner(nn.Module):
    """Velocity of a plan's flow, from the pooled text: ``x`` ``[B, 2F]`` (offsets in units of the grid's half width)."""

    def __init__(self, frames: int, width: int):
        super().__init__()
        hidden = width
        self.time = TimeEmbedding(hidden)
        self.enter, self.text = nn.Linear(2 * frames, hidden), nn.Linear(width, hidden)
        self.layers = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(4)])
        self.head = nn.Linear(hidden, 2 * frames)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, time: Tensor, sos: Tensor) -> Tensor:
        """time ``[B]`` or ``[1]``; sos ``[B, C]`` or ``[1, C]``."""
        h = self.enter(x) + self.time(time) + self.text(sos)
        for one, two in zip(self.layers[::2], self.layers[1::2]):
            h = h + two(nn.functional.silu(one(nn.functional.silu(h))))
        return self.head(nn.functional.silu(h))


def to_unit(plan: Tensor) -> Tensor:
    """Poses in px ``[..., F, 2]`` -> a plan's values ``[..., 2F]``: about -1 to 1."""
    return ((plan - 32) / 16).flatten(-2)


def to_bins(plan: Tensor) -> Tensor:
    """A plan's values ``[..., 2F]`` -> bins ``[..., F, 2]`` (x, y)."""
    return ((plan.unflatten(-1, (-1, 2)) + 1) * (BINS - 1) / 2).round().clamp(0, BINS - 1).long()


def load(path: Path | str) -> tuple[FrameFlow, dict]:
    saved = load_checkpoint(path)
    model = FrameFlow(saved["channels"], saved["plan"])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
