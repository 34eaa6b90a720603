"""A common code for the parts of a scene, so that both towers learn bindings.

The contrastive loss alone has a saddle: as long as neither tower encodes *which* object is left or red, the other
gains nothing by encoding it, and order and colour binding stay at chance for thousands of steps. Fixed random unit
vectors for "class k on side s" and "class k in colour c" break it: both embeddings are asked to point at the vectors
of their own parts. The vectors are drawn from a seed and belong to the training only.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.world import CLASSES, COLORS, SceneSpec

SIDES: tuple[str, ...] = ("left", "right", "top", "bottom")
_SIDES_OF = {"left of": (0, 1), "right of": (1, 0), "above": (2, 3), "below": (3, 2)}
_CLASS = {name: i for i, name in enumerate(CLASSES)}
_COLOR = {name: i for i, name in enumerate(COLORS)}


def atoms_of(spec: SceneSpec) -> np.ndarray:
    """i64 [4]: two parts as (kind, class) pairs; kind 0..3 = side, 4..13 = colour, -1 = none. Sides come first:
    a scene with a relation and colours is described by its sides."""
    out = np.full(4, -1, np.int64)
    objects = spec.objects
    if spec.relation is not None:
        first, second = _SIDES_OF[spec.relation]
        out[:] = first, _CLASS[objects[0][0]], second, _CLASS[objects[1][0]]
    else:
        for i, (name, color) in enumerate(dict.fromkeys(objects)):
            if color is not None and i < 2:
                out[2 * i : 2 * i + 2] = 4 + _COLOR[color], _CLASS[name]
    return out


class AtomCode:
    """Unit vectors [14, 80, D] for (kind, class), from a seed."""

    def __init__(self, dim: int, seed: int = 7, scale: float = 14.0) -> None:
        g = torch.Generator().manual_seed(seed)
        self.scale = scale
        self.vectors = F.normalize(torch.randn(4 + len(COLORS), len(CLASSES), dim, generator=g), dim=-1)

    def loss(self, embeds: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """embeds [R,D] unit vectors, atoms i64 [R,4] -> (loss, share of parts decoded right).

        Each part is asked for twice: which class stands on this side (or has this colour), and which side (or
        colour) this class has.
        """
        rows = torch.arange(len(atoms), device=atoms.device).repeat_interleave(2)
        kind, cls = atoms.view(-1, 2).unbind(1)
        keep = kind >= 0
        rows, kind, cls = rows[keep], kind[keep], cls[keep]
        if len(rows) == 0:
            return embeds.sum() * 0, embeds.new_zeros(())
        vectors = self.vectors.to(embeds.device)
        logits = self.scale * torch.einsum("rd,kcd->rkc", embeds[rows], vectors)
        here = torch.arange(len(rows), device=atoms.device)
        by_class = F.cross_entropy(logits[here, kind], cls)
        own = logits[here, :, cls]  # [R', 14]: sides compete with sides, colours with colours
        is_color = (kind >= 4).unsqueeze(1)
        column = torch.arange(own.shape[1], device=atoms.device).unsqueeze(0) >= 4
        own = own.masked_fill(column != is_color, -1e4)
        hits = (own.argmax(1) == kind).float().mean()
        return by_class + F.cross_entropy(own, kind), hits
