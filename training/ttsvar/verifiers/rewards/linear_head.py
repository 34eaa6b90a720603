"""Folds heads that consist of linear layers only (their ReLUs are commented out upstream) into one affine map."""

from __future__ import annotations

import re

import numpy as np
from torch import Tensor


def fold_linear(state: dict[str, Tensor]) -> tuple[np.ndarray, float]:
    """(weights [D], bias) of the composition of all 2-D weights, in the order of their index; float64.

    Raises ValueError when the layers do not chain down to one number.
    """
    layers: dict[int, dict[str, np.ndarray]] = {}
    for name, value in state.items():
        match = re.search(r"(\d+)\.(weight|bias)$", name)
        if match:
            layers.setdefault(int(match[1]), {})[match[2]] = value.double().numpy()
    weight: np.ndarray | None = None
    bias = np.zeros(0)
    for index in sorted(layers):
        w, b = layers[index]["weight"], layers[index]["bias"]
        if weight is not None and w.shape[1] != weight.shape[0]:
            raise ValueError(f"layer {index} takes {w.shape[1]} inputs, the one before gives {weight.shape[0]}")
        bias = b if weight is None else w @ bias + b
        weight = w if weight is None else w @ weight
    if weight is None or weight.shape[0] != 1:
        raise ValueError("not a chain of linear layers that ends in one number")
    return weight[0], float(bias[0])
