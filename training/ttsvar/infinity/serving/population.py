"""Candidates of one prompt on their way through the scales. Values, never changed in place: a failed step leaves the
population as it was, and branches share everything with where they came from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from ttsvar.infinity.serving.draw import Drawn, draw_bits
from ttsvar.infinity.serving.network import Entry, Network, Prompt, Stage
from ttsvar.infinity.serving.past import Slot
from ttsvar.infinity.serving.shape import Settings, Shape
from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.keyed import KeyedRandom
from ttsvar.serve.wire import Picture, wire_bits


@dataclass(frozen=True)
class Request:
    shape: Shape
    prompt: str
    negative: str | None
    seed: int | str
    settings: Settings
    # Bits by scale, taken instead of drawn ones.
    keep: Sequence[np.ndarray] | None = None

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

    @property
    def alike(self) -> tuple[str, int, int] | None:
        """Populations at the same scale of the same shape, with as many groups, may go through the network together. The
        first scale is remembered by prompt, and finished ones go nowhere."""
        shape = self.request.shape
        if not 0 < self.stage < shape.scales or self.network.rows_per_pass == 1:
            return None
        return shape.id, self.stage, self._groups

    def step(self) -> tuple[Population, dict]:
        """The next stage of all candidates, and its signals by row."""
        return Population.step_all([self])[0]

    @staticmethod
    def step_all(populations: Sequence[Population]) -> list[tuple[Population, dict]]:
        """The next stage of several populations, which are ``alike``, in common passes."""
        first = populations[0]
        scale, shape = first.stage, first.request.shape
        if scale >= shape.scales:
            raise invalid(f"all {shape.scales} stages are done")
        parts = [population._different() for population in populations]
        entries = [
            Entry(population.condition, row.code, row.past) for population, rows in zip(populations, parts) for row in rows
        ]
        delta, slots = first.network.run(Stage(shape, scale, first._groups), entries)
        stepped, start = [], 0
        for population, rows in zip(populations, parts):
            end = start + len(rows)
            stepped.append(population._advance(delta[:, start:end], slots[start:end]))
            start = end
        return stepped

    @property
    def _groups(self) -> int:
        return 2 if self.stage < self.request.settings.guidance_until else 1

    def _different(self) -> tuple[Row, ...]:
        """As long as no candidate has drawn anything, all are one: the first stage, and those that follow kept tokens."""
        alike = self.stage <= len(self.request.keep or ())
        return self.rows[:1] if alike else self.rows

    def _advance(self, delta: np.ndarray, slots: list[Slot | None]) -> tuple[Population, dict]:
        """Draws from what the network gave for the rows that differ."""
        network, shape, scale = self.network, self.request.shape, self.stage
        if len(slots) < len(self.rows):
            delta, slots = np.repeat(delta, len(self.rows), 1), slots * len(self.rows)
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
            "tokenHash": [token_hash(one.bits) for one in drawn],
            "values": {
                "logProb": [one.log_prob for one in drawn],
                "entropy": [one.entropy for one in drawn],
                "guidanceGap": [one.guidance_gap for one in drawn],
            },
        }

    def pick(self, picks: Sequence[tuple[int, str]]) -> Population:
        """Candidates ``parent`` under new ids, in the given order."""
        return replace(self, rows=tuple(replace(self.row(parent), id=id) for parent, id in picks))

    def row(self, index: int) -> Row:
        if not 0 <= index < len(self.rows):
            raise invalid(f"row {index} is outside 0..{len(self.rows) - 1}")
        return self.rows[index]

    def view(self, rows: Sequence[int], size: float, look: str) -> list[Picture]:
        if look != "now":
            raise invalid(f"cannot look {look}: this generator looks now")
        images = self.decode(rows, grid_of(self.request.shape.latent, size))
        return [Picture(image[None]) for image in images]

    def tokens(self, rows: Sequence[int], stage: int) -> list[dict]:
        if stage >= self.stage:
            raise invalid(f"stage {stage} is not done: {self.stage} are")
        width = self.request.shape.token_channels
        return [wire_bits(self.row(index).bits[stage], width) for index in rows]

    def decode(self, rows: Sequence[int], size: tuple[int, int]) -> np.ndarray:
        """Images ``[n, h, w, 3]`` (uint8)."""
        codes = [self.row(index).code for index in rows]
        if any(code is None for code in codes):
            raise invalid("there is nothing to look at before the first stage")
        return np.stack([self.network.decode(code, size) for code in codes])

    def _draw(self, row: Row, delta: np.ndarray) -> Drawn:
        scale, settings = self.stage, self.request.settings
        keep = self.request.keep or ()
        kept = keep[scale] if scale < len(keep) else None
        uniforms = None if kept is not None else self.request.random.uniforms(row.id, scale, delta.shape[1])
        try:
            return draw_bits(
                delta[0], delta[1] if len(delta) == 2 else None, settings.guidance[scale], settings.temperature[scale],
                settings.top_p, uniforms, kept, settings.top_k,
            )  # fmt: skip
        except FloatingPointError as error:
            problem = f"the generator gave no usable logits for candidate {row.id} at scale {scale}: {error}"
            raise ServeError("failed", problem) from error


def grid_of(full: tuple[int, int], size: float) -> tuple[int, int]:
    """Latent cells of a view: at least one, and halves up."""
    height, width = (min(side, max(1, math.floor(side * size + 0.5))) for side in full)
    return height, width


def token_hash(bits: np.ndarray) -> str:
    """First 16 hexadecimal digits of the SHA-256 over the bits, one byte each."""
    return hashlib.sha256(bits.tobytes()).hexdigest()[:16]
