"""Ground truth as dense maps, and the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...world import ObjectTruth
from .model import NUM_CLASSES, STRIDE


@dataclass
class Targets:
    """heat f32 [B, 80, G, G], 1 at object centres, Gaussian around them; weight f32 [B, G, G]: of box and colour;
    box f32 [B, 4, G, G] as the detector's; color i64 [B, G, G], -1 where unknown."""

    heat: Tensor
    weight: Tensor
    box: Tensor
    color: Tensor


def make_targets(objects: list[list[ObjectTruth]], size: int) -> Targets:
    """Dense targets of a batch; size is the image side in px."""
    n, side = len(objects), size // STRIDE
    heat = np.zeros((n, NUM_CLASSES, side, side), np.float32)
    weight = np.zeros((n, side, side), np.float32)
    box = np.zeros((n, 4, side, side), np.float32)
    color = np.full((n, side, side), -1, np.int64)
    axis = np.arange(side, dtype=np.float32) + 0.5
    for i, truths in enumerate(objects):
        for t in truths:
            x0, y0, x1, y1 = (v / STRIDE for v in t.box)
            cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
            sigma = max(0.5, max(w, h) / 10)
            gx = np.exp(-((axis - cx) ** 2) / (2 * sigma**2))
            gy = np.exp(-((axis - cy) ** 2) / (2 * sigma**2))
            bump = gy[:, None] * gx[None]
            col, row = min(side - 1, int(cx)), min(side - 1, int(cy))
            bump = np.minimum(bump / bump[row, col], 0.99)
            bump[row, col] = 1.0
            heat[i, t.cls] = np.maximum(heat[i, t.cls], bump)
            # Box and colour are also learned next to the centre: the peak may land one cell away.
            ys, xs = slice(max(0, row - 1), row + 2), slice(max(0, col - 1), col + 2)
            weight[i, ys, xs] = np.maximum(bump[ys, xs], 0.1)
            box[i, 0, ys, xs] = cx - axis[None, xs]
            box[i, 1, ys, xs] = (cy - axis[ys])[:, None]
            box[i, 2, ys, xs] = np.log(w)
            box[i, 3, ys, xs] = np.log(h)
            color[i, ys, xs] = -1 if t.color is None else t.color
    return Targets(*(torch.from_numpy(a) for a in (heat, weight, box, color)))


def loss(outputs: tuple[Tensor, Tensor, Tensor], target: Targets) -> tuple[Tensor, dict[str, float]]:
    """Penalty-reduced focal loss (class), smooth L1 (box), cross entropy (colour, where one was asked for)."""
    logits, boxes, colors = (o.float() for o in outputs)
    p = logits.sigmoid()
    positive = (target.heat == 1).float()
    count = positive.sum().clamp(min=1)
    focal_pos = positive * (1 - p) ** 2 * F.logsigmoid(logits)
    focal_neg = (1 - positive) * (1 - target.heat) ** 4 * p**2 * F.logsigmoid(-logits)
    heat = -(focal_pos + focal_neg).sum() / count

    weight = target.weight
    box = F.smooth_l1_loss(boxes, target.box, reduction="none", beta=0.1).sum(1)
    box = (box * weight).sum() / weight.sum().clamp(min=1)

    known = weight * (target.color >= 0)
    ce = F.cross_entropy(colors, target.color.clamp(min=0), reduction="none")
    color = (ce * known).sum() / known.sum().clamp(min=1)
    total = heat + 0.5 * box + 0.5 * color
    return total, {"loss": total.item(), "heat": heat.item(), "box": box.item(), "color": color.item()}
