"""Multi-scale residual vector quantiser with shared phi convolutions (VAR, algorithms 1 and 2; VectorQuantizer2).

Encoding: at every scale the residual is area-downsampled, each cell takes the nearest codebook entry (plain L2), the
entries are resized bicubically (a = -0.75, half-pixel) to the last grid, passed through that scale's phi and
subtracted. phi(x) = x / 2 + conv3x3(x) / 2; K scales share a few of them. The transformer's input for the next
scale is the cumulative code, area-downsampled. The last scale is not resized.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Scales 3 and 8 of the official ten lie exactly between two phis; which one wins is rounding, so it is a table.
PHI_OF_TEN = (0, 0, 1, 1, 1, 2, 2, 3, 3, 3)


def phi_table(scales: int, shared: int = 4) -> tuple[int, ...]:
    """Which of the shared phis each scale uses."""
    if scales == 10 and shared == 4:
        return PHI_OF_TEN
    edge = 1 / 3 / shared if shared == 4 else 1 / 2 / shared
    ticks = [edge + (1 - 2 * edge) * i / (shared - 1) for i in range(shared)]
    return tuple(min(range(shared), key=lambda i: abs(ticks[i] - k / (scales - 1))) for k in range(scales))


class Phi(nn.Conv2d):
    def __init__(self, channels: int):
        super().__init__(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x + 0.5 * super().forward(x)


class _Phis(nn.Module):
    def __init__(self, channels: int, shared: int):
        super().__init__()
        self.qresi_ls = nn.ModuleList(Phi(channels) for _ in range(shared))


def tokens(x: Tensor) -> Tensor:
    """``[B, d, h, w]`` -> ``[B, h*w, d]``, row-major."""
    return x.flatten(2).transpose(1, 2)


class ResidualQuantiser(nn.Module):
    """Codebook ``embedding`` ``[V, d]``, ``sides`` of the token grids; parameter names of the released tokenizer."""

    def __init__(self, vocabulary: int, channels: int, sides: Sequence[int], shared: int = 4):
        super().__init__()
        self.sides = list(sides)
        self.table = phi_table(len(self.sides), shared)
        self.embedding = nn.Embedding(vocabulary, channels)
        self.quant_resi = _Phis(channels, shared)

    def contribution(self, entries: Tensor, scale: int) -> Tensor:
        """Codebook vectors ``[B, d, h, w]`` of a scale -> what they add to the code, ``[B, d, H, W]``."""
        last = self.sides[-1]
        if scale < len(self.sides) - 1:
            entries = F.interpolate(entries, size=(last, last), mode="bicubic")
        return self.quant_resi.qresi_ls[self.table[scale]](entries)

    def entries(self, index: Tensor, scale: int) -> Tensor:
        """Indices ``[B, L]`` -> codebook vectors ``[B, d, h, w]``."""
        side = self.sides[scale]
        return self.embedding(index).transpose(1, 2).unflatten(2, (side, side))

    def nearest(self, cells: Tensor) -> Tensor:
        """Cells ``[N, d]`` -> index of the nearest entry ``[N]``."""
        book = self.embedding.weight.detach()
        return (book.square().sum(1) - 2 * cells @ book.T).argmin(1)

    def reduce(self, code: Tensor, scale: int) -> Tensor:
        side = self.sides[scale]
        return code if side == code.shape[-1] else F.adaptive_avg_pool2d(code, side)

    def next_input(self, code: Tensor, scale: int) -> Tensor:
        """Input tokens ``[B, L, d]`` of ``scale`` from the code of the scales before."""
        return tokens(self.reduce(code, scale))

    def encode(self, latent: Tensor, flip: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Latent ``[B, d, H, W]`` -> indices ``[B, L]`` and the cumulative code ``[B, d, H, W]``, by scale.

        flip: per-sample probability ``[B]`` with which an entry that is fed forward is a random one; later targets
        then correct it. Gradients reach codebook and phis through the codes.
        """
        residual, code = latent.detach().float(), torch.zeros_like(latent, dtype=torch.float32)
        indices, codes = [], []
        for scale in range(len(self.sides)):
            cells = tokens(self.reduce(residual, scale))
            index = self.nearest(cells.flatten(0, 1)).view(cells.shape[:2])
            indices.append(index)
            if flip is not None:
                wrong = torch.rand(index.shape) < flip[:, None]
                index = torch.where(wrong, torch.randint_like(index, self.embedding.num_embeddings), index)
            step = self.contribution(self.entries(index, scale), scale)
            code = code + step
            residual = residual - step.detach()
            codes.append(code)
        return indices, codes
