"""Masked sets that read another picture: the editor's source (in the manner of UniPic), the cascade's coarse canvas (of MAR-3D).

The picture's tokens go through one projection. They stand in the encoder's sequence, and the decoder has them added where
nothing is known yet.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.generator import CLOSED
from ttsvar.latent.codes import TokenPool
from ttsvar.latent.trunk import SIDE, TOKENS, Prompt, TimeEmbedding, Trunk, start_from
from ttsvar.masked_set.model import MaskedSet
from ttsvar.text.encoder import TextConfig


def under(side: int) -> Tensor:
    """Which token of a grid lies under each position of the canvas, ``[64]``."""
    at = torch.arange(SIDE) * side // SIDE
    return (at[:, None] * side + at[None]).flatten()


class Conditioned(MaskedSet):
    """Reads a picture of ``grid`` x ``grid`` tokens."""

    grid = SIDE

    def __init__(self, channels: int = 8, trunk: Trunk | None = None, head: int = 192):
        super().__init__(channels, trunk, head)
        self.context = nn.Linear(channels, self.trunk.width)
        self.kind = nn.Parameter(torch.zeros(self.trunk.width))

    def conditioned(self, tokens: Tensor, known: Tensor, prompt: Prompt, context: Tensor) -> Tensor:
        """``context``: projected, ``[G, B, grid * grid, C]`` -> decoder vectors ``[G, B, 64, C]``."""
        canvas, level = self.trunk.rope(), self.trunk.level
        rope = tuple(torch.cat(pair) for pair in zip(self.trunk.rope(self.grid), canvas))
        x = self.embed(tokens * known[..., None]) + level
        start, x = self.encoded(x, known, prompt, rope, context + self.trunk.level_of(self.grid) + self.kind)
        masked = self.mask + level + context[:, :, under(self.grid)]
        return self.decoded(start, x, known, masked, prompt, canvas) + self.place

    @torch.no_grad()
    def start_context(self) -> None:
        """The other picture's tokens begin as what the canvas' own are taken for."""
        self.context.load_state_dict(self.embed.state_dict())


class Editor(Conditioned):
    """Draws a source anew by instruction."""

    def forward(self, tokens: Tensor, known: Tensor, prompt: Prompt, source: Tensor) -> Tensor:  # type: ignore[override]
        """``source`` ``[G, B, 64, d]``."""
        return self.conditioned(tokens, known, prompt, self.context(source))


COARSE = 4


class Cascade(Conditioned):
    """Two levels of one net: 4x4 coarse tokens, then 8x8 given the coarse ones with noise mixed in.

    MAR-3D has a net for each level. Coarse tokens are means of 2x2 tokens, brought to unit variance by ``spread``.
    """

    grid = COARSE
    spread: Tensor

    def __init__(self, channels: int = 8, trunk: Trunk | None = None, head: int = 192):
        super().__init__(channels, trunk, head)
        width = self.trunk.width
        self.register_buffer("spread", torch.ones(channels))
        self.coarse_embed = nn.Linear(channels, width)
        self.coarse_mask = nn.Parameter(torch.zeros(width))
        self.coarse_place = nn.Parameter(torch.zeros(COARSE * COARSE, width))
        self.noise = TimeEmbedding(width)

    def coarsen(self, tokens: Tensor) -> Tensor:
        """``[N, 64, d]`` -> ``[N, 16, d]``."""
        canvas = tokens.transpose(1, 2).unflatten(2, (SIDE, SIDE))
        return nn.functional.avg_pool2d(canvas, SIDE // COARSE).flatten(2).transpose(1, 2) / self.spread

    def enlarged(self, coarse: Tensor) -> Tensor:
        """``[..., 16, d]`` -> tokens of the canvas ``[..., 64, d]`` that show it."""
        return (coarse * self.spread)[..., under(COARSE), :]

    def coarse(self, tokens: Tensor, known: Tensor, prompt: Prompt) -> Tensor:
        """``tokens`` ``[G, B, 16, d]`` -> decoder vectors ``[G, B, 16, C]``."""
        rope, level = self.trunk.rope(COARSE), self.trunk.level_of(COARSE)
        x = self.coarse_embed(tokens * known[..., None]) + level
        start, x = self.encoded(x, known, prompt, rope)
        return self.decoded(start, x, known, self.mask + self.coarse_mask + level, prompt, rope) + self.coarse_place

    def forward(self, tokens: Tensor, known: Tensor, prompt: Prompt, coarse: Tensor, time: Tensor) -> Tensor:  # type: ignore[override]
        """``coarse`` ``[G, B, 16, d]`` with noise of ``time`` ``[G]`` (or one for all) in it."""
        context = self.context(coarse) + self.noise(time)[:, None, None]
        return self.conditioned(tokens, known, prompt, context)

    def either(
        self, tokens: Tensor, known: Tensor, at: Tensor, coarse: Tensor, time: Tensor, seen: Tensor, prompt: Prompt
    ) -> Tensor:
        """Both levels in one, for export: ``at`` ``[N]`` says where tokens lie, 0 to 15 coarse ones, then those of the canvas.

        seen ``[1]``: 1 where the coarse canvas is read, 0 where it is drawn.
        """
        tables = [torch.cat(pair) for pair in zip(self.trunk.rope(COARSE), self.trunk.rope())]
        rope = tuple(table[at] for table in tables)
        count = COARSE * COARSE
        fine = (at >= count).float()[:, None]
        levels = (self.trunk.level_of(COARSE), self.trunk.level)
        level = levels[0] * (1 - fine) + levels[1] * fine
        known = known[..., None]
        x = (self.coarse_embed(tokens * known) * (1 - fine) + self.embed(tokens * known) * fine) + level
        context = self.context(coarse) + self.noise(time)[:, None, None]
        both = tuple(torch.cat([table[:count], own]) for table, own in zip(tables, rope))
        hidden = (1 - seen) * CLOSED
        start, x = self.encoded(x, known[..., 0], prompt, both, context + levels[0] + self.kind, hidden)
        beneath = torch.cat([torch.zeros(count, dtype=torch.long), under(COARSE)])[at]
        masked = self.mask + level + self.coarse_mask * (1 - fine) + context[:, :, beneath] * fine
        place = torch.cat([self.coarse_place, self.place])[at]
        return self.decoded(start, x, known[..., 0], masked, prompt, rope) + place

    @torch.no_grad()
    def start_context(self) -> None:
        super().start_context()
        self.coarse_embed.load_state_dict(self.embed.state_dict())


def begin_with(model: Conditioned, mar: Path | str, generator: Path | str, pool: TokenPool) -> None:
    """Weights of a trained MAR or, where there is none, of the embedded generator, as MAR itself starts."""
    if Path(mar).exists():
        state = load_checkpoint(mar)["state"]
    else:
        start = MaskedSet(pool.channels)
        start_from(start.trunk, generator)
        pool.start_embedding(start.embed, start.trunk)
        state = start.state_dict()
    continue_from(model, state)


def continue_from(model: Conditioned, state: dict[str, Tensor]) -> None:
    """A MAR's weights; words that its vocabulary lacks start as the mean of the others, a little apart."""
    for key, value in model.state_dict().items():
        rows = len(value) - len(state[key]) if key in state and key.startswith("trunk.text.") and value.ndim == 2 else 0
        if rows > 0:
            old = state[key]
            state[key] = torch.cat([old, old.mean(0, keepdim=True) + 0.5 * old.std() * torch.randn(rows, old.shape[1])])
    unknown = model.load_state_dict(state, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"this is no MAR's state: {unknown[:3]}")
    model.start_context()


def load(kind: type[Conditioned], path: Path | str) -> tuple[Conditioned, dict]:
    saved = load_checkpoint(path)
    words = saved["state"]["trunk.text.shared.weight"].shape[0]
    model = kind(saved["channels"], Trunk(text=TextConfig(vocab_size=words)))
    model.load_state_dict(saved["state"])
    assert model.place.shape[0] == TOKENS
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
