"""Candidates of one prompt on their way through the scales. Values, never changed in place: a failed step leaves the
population as it was, and branches share everything with where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from ttsvar.infinity.serving.draw import Drawn, draw_bits
from ttsvar.infinity.serving.network import Network, Prompt, Stage
from ttsvar.infinity.serving.past import Slot
from ttsvar.infinity.serving.shape import Settings, Shape
from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.fields import bits_to
from ttsvar.serve.keyed import KeyedRandom


@dataclass(frozen=True)
class Request:
    shape: Shape
    prompt: str
    negative: str | None
    seed: int | str
    settings: Settings
    forced: Sequence[np.ndarray] | None = None

    @cached_property
    def random(self) -> KeyedRandom:
        return KeyedRandom(self.seed, self.prompt)


@dataclass(frozen=True)
class Row:
    """A candidate: cumulative code ``[d, H, W]``, bits and keys/values of each scale done."""

    id: str
    code: Tensor | None = None
    bits: tuple[np.ndarray, ...] = ()
    past: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Population:
    network: Network
    request: Request
    condition: Prompt
    rows: tuple[Row, ...]
    stage: int = 0

    @staticmethod
    def begin(network: Network, request: Request, ids: Sequence[str]) -> Population:
        condition = network.prompt(request.prompt, request.negative)
        return Population(network, request, condition, tuple(Row(id) for id in ids))

    def step(self) -> tuple[Population, dict]:
        """The next stage of all candidates, and its signals by row."""
        scale, network, shape = self.stage, self.network, self.request.shape
        if scale >= shape.scales:
            raise invalid(f"all {shape.scales} stages are done")
        groups = 2 if scale < self.request.settings.guidance_until else 1
        codes, past = [row.code for row in self.rows], [row.past for row in self.rows]
        delta, slots = network.run(Stage(self.condition, shape, scale, groups), codes, past)
        drawn = [self._draw(row, delta[:, index]) for index, row in enumerate(self.rows)]
        rows = tuple(
            Row(
                row.id,
                network.add(shape, row.code, one.bits, scale),
                (*row.bits, one.bits),
                row.past if slot is None else (*row.past, slot),
            )
            for row, one, slot in zip(self.rows, drawn, slots)
        )
        return replace(self, rows=rows, stage=scale + 1), {
            "logProb": [one.log_prob for one in drawn],
            "entropy": [one.entropy for one in drawn],
            "guidanceGap": [one.guidance_gap for one in drawn],
            "tokenHash": [token_hash(one.bits) for one in drawn],
        }

    def pick(self, picks: Sequence[tuple[int, str]]) -> Population:
        """Candidates ``parent`` under new ids, in the given order."""
        return replace(self, rows=tuple(replace(self.row(parent), id=id) for parent, id in picks))

    def row(self, index: int) -> Row:
        if not 0 <= index < len(self.rows):
            raise invalid(f"row {index} is outside 0..{len(self.rows) - 1}")
        return self.rows[index]

    def view(self, rows: Sequence[int], size: tuple[int, int] | None) -> bytes:
        full = self.request.shape.latent
        h, w = full if size is None else size
        if h > full[0] or w > full[1]:
            raise invalid(f"cannot decode at {h}x{w}: sizes go from 1x1 to the full latent, {full[0]}x{full[1]}")
        return self.decode(rows, (h, w)).tobytes()

    def tokens(self, row: int) -> dict:
        return {"bits": [bits_to(bits) for bits in self.row(row).bits]}

    def decode(self, rows: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Images ``[n, h, w, 3]`` (uint8)."""
        codes = [self.row(index).code for index in rows]
        if any(code is None for code in codes):
            raise invalid("there is nothing to decode before the first stage")
        return np.stack([self.network.decode(code, size) for code in codes])

    def _draw(self, row: Row, delta: np.ndarray) -> Drawn:
        scale, settings = self.stage, self.request.settings
        forced = self.request.forced[scale] if self.request.forced and scale < len(self.request.forced) else None
        uniforms = None if forced is not None else self.request.random.uniforms(row.id, scale, delta.shape[1])
        try:
            return draw_bits(
                delta[0], delta[1] if len(delta) == 2 else None, settings.guidance[scale], settings.temperature[scale],
                settings.top_p, uniforms, forced, settings.top_k,
            )  # fmt: skip
        except FloatingPointError as error:
            problem = f"the generator gave no usable logits for candidate {row.id} at scale {scale}: {error}"
            raise ServeError("failed", problem) from error


def token_hash(bits: np.ndarray) -> str:
    """First 16 hexadecimal digits of the SHA-256 over the bits, one byte each."""
    return hashlib.sha256(bits.tobytes()).hexdigest()[:16]
