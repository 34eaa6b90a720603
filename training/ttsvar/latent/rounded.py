"""Training with weights as ``ttsvar.zoo_store --bits 4`` keeps them: forward and backward see four bits, updates all of them."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ttsvar.infinity.graphs import BLOCK, LEAST


@torch.no_grad()
def four_bits(weight: Tensor) -> Tensor:
    """``[rows, columns]`` in codes of -8 to 7 times a scale for each 32 consecutive values, with the largest one kept."""
    rows = weight.reshape(-1, BLOCK)
    scale = rows.gather(1, rows.abs().argmax(1, keepdim=True)) / -8
    scale = torch.where(scale == 0, 1e-7, scale).half().float()
    return ((rows / scale).round().clamp(-8, 7) * scale).view_as(weight)


def stored(model: nn.Module) -> list[tuple[nn.Parameter, bool]]:
    """Matrices that are stored in four bits, and whether transposed, as graphs hold the weights of a product."""
    found = []
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, (nn.Linear, nn.Embedding)) and weight.numel() >= LEAST and weight.numel() % BLOCK == 0:
            found.append((weight, isinstance(module, nn.Linear)))
    return found


@contextmanager
def rounded(weights: list[tuple[nn.Parameter, bool]]):  # noqa: ANN201
    """The weights rounded inside, and as they were after."""
    before = [weight.detach().clone() for weight, _ in weights]
    with torch.no_grad():
        for weight, transposed in weights:
            weight.copy_(four_bits(weight.T.contiguous()).T if transposed else four_bits(weight))
    yield
    with torch.no_grad():
        for (weight, _), kept in zip(weights, before):
            weight.copy_(kept)
