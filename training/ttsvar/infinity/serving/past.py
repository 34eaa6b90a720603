"""Keys and values of the scales so far, by candidate. They are computed once, stay on the device and never change.

A candidate refers to them by (piece, row), so dropping, reordering and copying candidates moves no data, copies share
everything, and memory is freed with the last candidate that refers to a piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Piece:
    """One pass of one scale: per layer keys and values ``[G, rows, H, L, hd]``."""

    layers: tuple[Pair, ...]


@dataclass(frozen=True)
class Slot:
    """Where a candidate's keys and values of one scale are."""

    piece: Piece
    row: int


class Past(Sequence):
    """The past of a batch as the blocks want it: item ``i`` is layer ``i``, ``[G * rows, H, P, hd]`` twice.

    A layer is put together when it is asked for, so that only one contiguous copy exists at a time.
    """

    def __init__(self, slots: Sequence[Sequence[Slot]], groups: int):
        """``slots``: per candidate, per scale."""
        self._scales = list(zip(*slots))
        self._groups = groups
        self._depth = len(slots[0][0].piece.layers) if self._scales else 0

    def __len__(self) -> int:
        return self._depth

    def __getitem__(self, layer: int) -> Pair:
        return self._join(layer, 0), self._join(layer, 1)

    def _join(self, layer: int, kind: int) -> Tensor:
        columns = []
        for slots in self._scales:
            rows = [slot.piece.layers[layer][kind][: self._groups, slot.row] for slot in slots]
            columns.append(rows[0][:, None] if len(rows) == 1 else torch.stack(rows, 1))
        return torch.cat(columns, 3).flatten(0, 1)
