"""Scale schedules and 2-D rotary position tables (Infinity, ``rope2d_normalized_by_hw=2``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Grid = tuple[int, int]


@dataclass(frozen=True)
class Schedule:
    """Token grids per scale; ``reference`` is the last grid of the full schedule (it normalises positions).

    With ``patchify`` the VAE grid is twice the token grid in both directions.
    """

    scales: tuple[Grid, ...]
    reference: Grid
    patchify: bool = False

    @staticmethod
    def square(sides: Sequence[int], reference: int | None = None, patchify: bool = False) -> Schedule:
        last = reference or sides[-1]
        return Schedule(tuple((s, s) for s in sides), (last, last), patchify)

    def cut(self, scales: int) -> Schedule:
        """The first scales alone; what they are does not depend on those after them."""
        return Schedule(self.scales[:scales], self.reference, self.patchify)

    @property
    def lengths(self) -> list[int]:
        return [h * w for h, w in self.scales]

    @property
    def vae_grids(self) -> list[Grid]:
        factor = 2 if self.patchify else 1
        return [(h * factor, w * factor) for h, w in self.scales]

    def axis(self, scale: int) -> tuple[list[int], list[int]]:
        """Rotary positions of the rows and columns: ``round(i * Hf/h)``, float32, half to even."""
        (h, w), (full_h, full_w) = self.scales[scale], self.reference
        rows = torch.round(torch.arange(h) * (full_h / h)).int().tolist()
        columns = torch.round(torch.arange(w) * (full_w / w)).int().tolist()
        return rows, columns

    def rope(self, scale: int, head_dim: int) -> tuple[Tensor, Tensor]:
        """cos and sin ``[L, head_dim/2]``: the first half of the pairs turns with y, the second with x."""
        rows, columns = self.axis(scale)
        half = head_dim // 2
        frequencies = 1.0 / (10000 ** (torch.arange(0, half, 2).float() / half))
        y = torch.tensor(rows, dtype=torch.float32)[:, None] * frequencies
        x = torch.tensor(columns, dtype=torch.float32)[:, None] * frequencies
        h, w = self.scales[scale]
        angle = torch.cat([y[:, None].expand(h, w, -1), x[None].expand(h, w, -1)], -1).reshape(h * w, half)
        return angle.cos(), angle.sin()

    def rope_all(self, head_dim: int) -> tuple[Tensor, Tensor]:
        """Tables of all scales concatenated: ``[sum L, head_dim/2]``."""
        tables = [self.rope(s, head_dim) for s in range(len(self.scales))]
        return torch.cat([c for c, _ in tables]), torch.cat([s for _, s in tables])

    def block_mask(self) -> Tensor:
        """Additive ``[sum L, sum L]``: a token sees its own scale and all earlier ones."""
        level = torch.cat([torch.full((n,), i) for i, n in enumerate(self.lengths)])
        return torch.zeros(len(level), len(level)).masked_fill_(level[:, None] < level[None, :], -1e4)
