"""Tracing a module to ONNX without its weights, so that a graph of any size can be made in little memory.

The module is built on ``meta`` and its parameters become inputs of the traced function, all of them views of one block
of zeros as large as the largest. The result is a graph whose weights are still free inputs, named as in the state dict;
:mod:`ttsvar.infinity.official.placement` gives them values one at a time.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from ttsvar.infinity import graphs


@dataclass(frozen=True)
class HollowGraph:
    """A traced graph and those of its inputs that are weights."""

    model: onnx.ModelProto
    weights: frozenset[str]


class _Blockwise(torch.autograd.Function):
    """Self-attention as one operator of ONNX Runtime, which never holds the whole matrix of scores."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:  # noqa: ANN001
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return ((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g, q, k, v, heads: int):  # noqa: ANN001, ANN205
        out = g.op("com.microsoft::MultiHeadAttention", q, k, v, num_heads_i=heads, scale_f=1.0)
        out.setType(q.type())
        return out


def blockwise_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Stands in for :func:`ttsvar.infinity.layers.explicit_attention` where there is no mask and no scaling."""
    if mask is not None or scale != 1.0:
        raise ValueError("blockwise attention is for the cached step: no mask, no scale")
    heads = int(q.shape[1])
    out = _Blockwise.apply(*(x.transpose(1, 2).flatten(2) for x in (q, k, v)), heads)
    return out.unflatten(2, (heads, -1)).transpose(1, 2)


class _WithWeights(nn.Module):
    """Calls ``module`` with its parameters and buffers given as the last arguments."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self._hidden = [module]  # in a list: the tracer must not see the parameters
        self._owners = []
        for name in names:
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            owner._parameters.pop(leaf, None)
            owner._buffers.pop(leaf, None)
            self._owners.append((owner, leaf))

    def forward(self, *arguments: Tensor) -> object:
        count = len(arguments) - len(self._owners)
        for (owner, leaf), value in zip(self._owners, arguments[count:]):
            setattr(owner, leaf, value)
        return self._hidden[0](*arguments[:count])


def trace(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], dynamic: dict[str, dict[int, str]]
) -> HollowGraph:
    """Trace ``module``, which is on ``meta`` and is used up by this; names as for ``graphs.export_graph``."""
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    block = torch.zeros(max(map(math.prod, shapes.values()), default=1))
    stand_ins = [block[: math.prod(shape)].view(shape) for shape in shapes.values()]
    hollow = _WithWeights(module.eval(), list(shapes))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer reports shape-only decisions that the tests cover
        torch.onnx.export(
            hollow.eval(), (*inputs.values(), *stand_ins), buffer, input_names=[*inputs, *shapes],
            output_names=outputs, dynamic_axes={n: dynamic[n] for n in [*inputs, *outputs] if n in dynamic},
            opset_version=graphs.OPSET, dynamo=False, do_constant_folding=False,
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    kept = [value for value in model.graph.input if value.name not in shapes]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.producer_name, model.producer_version, model.doc_string = "tts-var", "", ""
    return HollowGraph(model, frozenset(shapes))
