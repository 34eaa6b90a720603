"""The inference graphs of a VAR as modules, and their ONNX export (cut as Infinity's: condition, step, decode, encode)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ttsvar.infinity.graphs import pair_names
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.model import Condition, Var, VarConfig


class ConditionGraph(nn.Module):
    """labels ``[G]`` -> sos ``[G, C]``, gss ``[G, depth, 6, C]``, head_ss ``[G, 2, C]``."""

    def __init__(self, model: Var):
        super().__init__()
        self.model = model

    def forward(self, labels: Tensor) -> tuple[Tensor, ...]:
        c = self.model.condition(labels)
        return c.sos, c.gss, c.head_ss


class StepGraph(nn.Module):
    """One scale for all guidance groups; see :meth:`Var.step`."""

    def __init__(self, model: Var):
        super().__init__()
        self.model = model

    def forward(self, z, x_add, gss, head_ss, *past):  # noqa: ANN001, ANN002, ANN201
        pairs = [(past[2 * i], past[2 * i + 1]) for i in range(self.model.config.depth)]
        logits, new = self.model.step(z, x_add, Condition(gss, gss, head_ss), pairs)
        return logits, *(t for pair in new for t in pair)


class DecodeGraph(nn.Module):
    def __init__(self, vae: VqVae):
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent)


class EncodeGraph(nn.Module):
    def __init__(self, vae: VqVae):
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor) -> Tensor:
        return self.vae.encode(image)


def example(model: Var, groups: int = 2, batch: int = 3, length: int = 4, past: int = 5) -> dict[str, Tensor]:
    """Random inputs of the step graph in order, for tracing and checks."""
    c = model.config
    inputs = {
        "z": torch.randn(batch, length, c.channels),
        "x_add": torch.randn(groups, length, c.width),
        "gss": torch.randn(groups, c.depth, 6, c.width),
        "head_ss": torch.randn(groups, 2, c.width),
    }
    for name in pair_names("past_", c.depth):
        inputs[name] = torch.randn(groups * batch, c.heads, past, c.width // c.heads)
    return inputs


def axes(model: Var) -> dict[str, dict[int, str]]:
    """Dynamic axes by name."""
    named = {
        "labels": {0: "G"}, "sos": {0: "G"}, "gss": {0: "G"}, "head_ss": {0: "G"}, "z": {0: "B", 1: "L"},
        "x_add": {0: "G", 1: "L"}, "logits": {0: "G", 1: "B", 2: "L"},
    }  # fmt: skip
    named |= {name: {0: "R", 2: "P"} for name in pair_names("past_", model.config.depth)}
    return named | {name: {0: "R", 2: "L"} for name in pair_names("new_", model.config.depth)}


def traced(config: VarConfig, make_vae: Callable[[], VqVae]) -> dict[str, tuple[nn.Module, dict, list[str], dict]]:
    """Every graph by file name: a module without values, inputs to trace it with, outputs and dynamic axes."""
    with torch.device("meta"):
        condition, step = Var(config), Var(config)
        decode, encode = make_vae(), make_vae()
    spatial, pixels = {0: "B", 2: "h", 3: "w"}, {0: "B", 2: "H", 3: "W"}
    stride = decode.stride
    latent, image = torch.zeros(2, config.channels, 4, 5), torch.zeros(2, 3, 4 * stride, 5 * stride)
    new = pair_names("new_", config.depth)
    return {
        "condition": (ConditionGraph(condition), {"labels": torch.tensor([0, 1])}, ["sos", "gss", "head_ss"], axes(step)),
        "step": (StepGraph(step), example(step), ["logits", *new], axes(step)),
        "vae_decode": (DecodeGraph(decode), {"latent": latent}, ["image"], {"latent": spatial, "image": pixels}),
        "vae_encode": (EncodeGraph(encode), {"image": image}, ["features"], {"image": pixels, "features": spatial}),
    }
