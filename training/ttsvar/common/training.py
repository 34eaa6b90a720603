"""Small pieces every trainer needs: weight averaging, schedules, JSON-line logs, atomic checkpoints."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of a module's floating-point state."""

    def __init__(self, model: nn.Module):
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.shadow[key].lerp_(value, 1 - decay)
            else:
                self.shadow[key].copy_(value)

    def state_dict(self) -> dict[str, Tensor]:
        return self.shadow

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.shadow = {k: v.clone() for k, v in state.items()}


class Swapped:
    """Context manager: evaluate ``model`` with another state, then restore the training weights."""

    def __init__(self, model: nn.Module, state: dict[str, Tensor]):
        self.model, self.state = model, state

    def __enter__(self) -> nn.Module:
        self.backup = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.state)
        self.model.eval()
        return self.model

    def __exit__(self, *_: object) -> None:
        self.model.load_state_dict(self.backup)
        self.model.train()


def cosine(progress: float, warmup: float = 0.01, floor: float = 0.02) -> float:
    """Linear warm-up over ``warmup`` of the run, then a cosine to ``floor``; ``progress`` in [0, 1]."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    x = (progress - warmup) / (1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(x, 1.0)))


def append_json(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON object as a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def save_checkpoint(path: Path, payload: dict[str, Any]) -> None:
    """Write a torch file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".tmp")
    torch.save(payload, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=False)
