"""Contrastive loss with hard negatives on both sides, and the patch-wise auxiliary loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(cosines: Tensor, neutral: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cosines [B+D,B+N]: rows are B images then D damaged copies of images 0..D-1, columns B captions then N
    text negatives; neutral bool [B,B+N] -> (image-to-text loss, text-to-image loss, hits of image-to-text)."""
    b = neutral.shape[0]
    logits = scale * cosines
    own = torch.arange(b, device=cosines.device)
    skip = neutral.clone()
    skip[own, own] = False
    rows = logits[:b].masked_fill(skip, -1e4)
    image_loss = F.cross_entropy(rows, own)
    columns = logits[:, :b].T
    mask = torch.zeros_like(columns, dtype=torch.bool)
    mask[:, :b] = skip[:, :b].T
    text_loss = F.cross_entropy(columns.masked_fill(mask, -1e4), own)
    hits = (rows.argmax(1) == own).float().mean()
    return image_loss, text_loss, hits


def patch_loss(class_logits: Tensor, color_logits: Tensor, classes: Tensor, colors: Tensor) -> Tensor:
    """Logits [B,P,81] and [B,P,10] against labels [B,P]; background cells count a quarter."""
    background = class_logits.shape[-1] - 1
    loss = F.cross_entropy(class_logits.flatten(0, 1).float(), classes.flatten(), reduction="none")
    weight = torch.where(classes.flatten() == background, 0.25, 1.0)
    total = (loss * weight).sum() / weight.sum()
    known = colors.flatten() >= 0
    if bool(known.any()):
        total = total + 0.5 * F.cross_entropy(color_logits.flatten(0, 1)[known].float(), colors.flatten()[known])
    return total
