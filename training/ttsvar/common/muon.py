"""Muon: momentum with orthogonalised updates (Jordan et al., 2024), for 2-D weights and convolution kernels.

Weights that stack several matrices (``mat_qkv`` = 3, ``mat_kv`` = 2) are orthogonalised part by part.
Updates are scaled by ``0.2 * sqrt(max(rows, cols))`` so that one learning rate suits AdamW and Muon
(Liu et al., "Muon is scalable for LLM training", 2025).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(gradient: Tensor, steps: int = 5) -> Tensor:
    """Approximate ``U V^T`` of ``[..., m, n]`` with a quintic Newton-Schulz iteration in bfloat16."""
    a, b, c = _COEFFICIENTS
    x = gradient.bfloat16()
    transposed = x.shape[-2] > x.shape[-1]
    if transposed:
        x = x.mT.contiguous()
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).bfloat16()
    for _ in range(steps):
        gram = x @ x.mT.contiguous()
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if transposed else x).float()


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is orthogonalised; ``parts`` row blocks are treated separately."""

    def __init__(self, groups: Iterable[dict], lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "parts": 1})

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ANN001, ANN201 - signature of torch.optim.Optimizer
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                buffer: Tensor = state["momentum"]
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(buffer, group["momentum"])
                matrix = update.reshape(group["parts"], parameter.shape[0] // group["parts"], -1)
                scale = 0.2 * max(matrix.shape[1:]) ** 0.5
                direction = orthogonalise(matrix).reshape(parameter.shape)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * scale)


def split_parameters(
    model: nn.Module, is_matrix, parts: dict[str, int] | None = None  # noqa: ANN001
) -> tuple[list[dict], list[Tensor]]:
    """Split into Muon groups (by number of stacked matrices) and the remaining parameters.

    ``is_matrix(name, parameter)`` selects Muon's parameters; ``parts`` maps name endings to stack counts.
    """
    matrices: dict[int, list[Tensor]] = {}
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if is_matrix(name, parameter):
            count = next((n for ending, n in (parts or {}).items() if name.endswith(ending)), 1)
            matrices.setdefault(count, []).append(parameter)
        else:
            rest.append(parameter)
    return [{"params": values, "parts": count} for count, values in matrices.items()], rest
