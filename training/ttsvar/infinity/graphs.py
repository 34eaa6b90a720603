"""The five inference graphs as modules (cut as in Infinity: text, condition, step, decode, encode) and ONNX export."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ttsvar.infinity.draft import DraftDecoder
from ttsvar.infinity.fused import FusedStep
from ttsvar.infinity.model import Condition, Infinity
from ttsvar.infinity.vae import Vae
from ttsvar.text.encoder import TextEncoder

OPSET = 17
TRACED = re.compile(r"onnx::\w+?_\d+")
#: Values that share a scale where weights have four bits.
BLOCK = 32
#: Smaller weights stay as they are.
LEAST = 4096


class ConditionGraph(nn.Module):
    """text_states ``[G, T, Ct]``, text_bias ``[G, 1, 1, T]`` -> sos, gss, head_ss, ca_k_i, ca_v_i."""

    def __init__(self, model: Infinity):
        super().__init__()
        self.model = model

    def forward(self, text_states: Tensor, text_bias: Tensor) -> tuple[Tensor, ...]:
        c = self.model.condition(text_states, text_bias)
        return c.sos, c.gss, c.head_ss, *(t for pair in c.memory for t in pair)


class StepGraph(nn.Module):
    """One scale for all guidance groups; see :meth:`Infinity.step`."""

    def __init__(self, model: Infinity):
        super().__init__()
        self.model = model

    def forward(self, z, x_add, rope_cos, rope_sin, gss, head_ss, text_bias, *rest):  # noqa: ANN001, ANN002, ANN201
        depth = self.model.config.depth
        pairs = [(rest[2 * i], rest[2 * i + 1]) for i in range(2 * depth)]
        condition = Condition(gss, gss, head_ss, pairs[:depth], text_bias)
        delta, new = self.model.step(z, x_add, (rope_cos, rope_sin), condition, pairs[depth:])
        return delta, *(t for pair in new for t in pair)


class DecodeGraph(nn.Module):
    def __init__(self, vae: Vae | DraftDecoder):
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent)


class EncodeGraph(nn.Module):
    def __init__(self, vae: Vae):
        super().__init__()
        self.vae = vae

    def forward(self, image: Tensor) -> Tensor:
        return self.vae.encode(image)


def pair_names(prefix: str, depth: int) -> list[str]:
    """``["<prefix>k_0", "<prefix>v_0", ...]``."""
    return [f"{prefix}{kind}_{i}" for i in range(depth) for kind in ("k", "v")]


def example(model: Infinity, groups: int = 2, batch: int = 3, length: int = 4, past: int = 5, text: int = 6) -> dict:
    """Random inputs of the step graph in order, for tracing and tests."""
    c = model.config
    inputs = {
        "z": torch.randn(batch, length, c.token_channels),
        "x_add": torch.randn(groups, 1, c.width),
        "rope_cos": torch.rand(length, c.head_dim // 2),
        "rope_sin": torch.rand(length, c.head_dim // 2),
        "gss": torch.randn(groups, 6, c.width),
        "head_ss": torch.randn(groups, 2, c.width),
        "text_bias": torch.zeros(groups, 1, 1, text),
    }
    for i in range(c.depth):
        inputs[f"ca_k_{i}"] = torch.randn(groups, c.heads, c.head_dim, text)
        inputs[f"ca_v_{i}"] = torch.randn(groups, c.heads, text, c.head_dim)
    for name in pair_names("past_", c.depth):
        inputs[name] = torch.randn(groups * batch, c.heads, past, c.head_dim)
    return inputs


def axes(model: Infinity) -> dict[str, dict[int, str]]:
    """Dynamic axes of the condition and step graphs."""
    depth = model.config.depth
    named = {
        "text_states": {0: "G", 1: "T"}, "text_bias": {0: "G", 3: "T"}, "sos": {0: "G"}, "gss": {0: "G"},
        "head_ss": {0: "G"}, "z": {0: "B", 1: "L"}, "x_add": {0: "G"}, "rope_cos": {0: "L"}, "rope_sin": {0: "L"},
        "delta": {0: "G", 1: "B", 2: "L"},
    }  # fmt: skip
    for i in range(depth):
        named |= {f"ca_k_{i}": {0: "G", 3: "T"}, f"ca_v_{i}": {0: "G", 2: "T"}}
    named |= {name: {0: "R", 2: "P"} for name in pair_names("past_", depth)}
    named |= {name: {0: "R", 2: "L"} for name in pair_names("new_", depth)}
    return named


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store float32 initialisers as float16 plus a Cast wherever that loses nothing (weights are pre-rounded)."""
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        exact = values.dtype == np.float32 and np.array_equal(values.astype(np.float16).astype(np.float32), values)
        if not exact or values.size < 16:
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(values.astype(np.float16), tensor.name + ".half"))
        casts.append(helper.make_node("Cast", [tensor.name + ".half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return model


def store_integers(path: Path, least: int = LEAST, bits: int = 8) -> None:
    """Store the large weights of an exported graph as int8 instead of float16, kernels of convolutions too; half the size.

    ``bits`` 4: matrices in blocks of 32 values, two to a byte, a scale for each block (4.5 bits a value). Weights that are
    stored so already stay. The graph has its weights behind casts, as :func:`halve_weights` leaves them; computing stays float32.
    """
    model = onnx.load(str(path))
    graph = model.graph
    number_weights(graph)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        values = None if tensor is None or tensor.data_type == TensorProto.INT8 else numpy_helper.to_array(tensor).astype(np.float32)
        if values is None or values.ndim not in (2, 4) or values.size < least:
            nodes.append(node)
            continue
        packed = bits == 4 and values.ndim == 2 and values.size % BLOCK == 0
        form, more = (in_nibbles if packed else in_bytes)(tensor.name, values, node.output[0])
        graph.initializer.remove(tensor)
        graph.initializer.extend(more)
        nodes.extend(form)
    graph.ClearField("node")
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def number_weights(graph: onnx.GraphProto) -> None:
    """Number the weights that the tracer named, by order of use: its own numbers tell how many others the module has."""
    numbers: dict[str, int] = {}

    def renamed(name: str) -> str:
        return TRACED.sub(lambda found: f"onnx::{numbers.setdefault(found[0], len(numbers))}", name)

    for node in graph.node:
        node.input[:], node.output[:] = map(renamed, node.input), map(renamed, node.output)
    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name)


def in_bytes(name: str, values: np.ndarray, output: str) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    codes, scale = nearest(values)
    nodes = [
        helper.make_node("Cast", [f"{name}.int8"], [f"{name}.whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [output]),
    ]
    return nodes, [numpy_helper.from_array(codes, f"{name}.int8"), numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale")]


def in_nibbles(name: str, values: np.ndarray, output: str) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """Bytes of two codes, the first half of a block below, taken apart by shifts, which runtimes fold when they load."""
    codes, scale = blocks(values)
    byte = (codes + 8).astype(np.uint8)
    packed = byte[:, : BLOCK // 2] | byte[:, BLOCK // 2 :] << 4
    part = lambda kind: f"{name}.{kind}"  # noqa: E731
    nodes = [
        helper.make_node("BitShift", [part("int4"), part("four")], [part("up")], direction="LEFT"),
        helper.make_node("BitShift", [part("up"), part("four")], [part("low")], direction="RIGHT"),
        helper.make_node("BitShift", [part("int4"), part("four")], [part("high")], direction="RIGHT"),
        helper.make_node("Concat", [part("low"), part("high")], [part("codes")], axis=1),
        helper.make_node("Cast", [part("codes")], [part("raised")], to=TensorProto.FLOAT),
        helper.make_node("Sub", [part("raised"), part("eight")], [part("whole")]),
        helper.make_node("Cast", [part("half")], [part("scale")], to=TensorProto.FLOAT),
        helper.make_node("Mul", [part("whole"), part("scale")], [part("blocks")]),
        helper.make_node("Reshape", [part("blocks"), part("shape")], [output]),
    ]
    tensors = {
        "int4": packed, "half": scale, "four": np.array(4, np.uint8), "eight": np.array(8, np.float32), "shape": np.array(values.shape, np.int64),
    }  # fmt: skip
    return nodes, [numpy_helper.from_array(tensor, part(kind)) for kind, tensor in tensors.items()]


def blocks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes -8 to 7 ``[n, 32]`` and float16 scales ``[n, 1]`` of consecutive values: of a few scales the one that is nearest."""
    rows = values.reshape(-1, BLOCK)
    largest = np.take_along_axis(rows, np.abs(rows).argmax(1, keepdims=True), 1)
    best = np.full((len(rows), 1), np.inf)
    codes, scale = np.zeros(rows.shape, np.int8), np.ones((len(rows), 1), np.float16)
    for factor in np.linspace(0.7, 1.1, 9):
        tried = np.where(largest == 0, 1e-7, largest / (-8 * factor)).astype(np.float16)
        near = np.clip(np.round(rows / tried.astype(np.float32)), -8, 7)
        error = np.square(near * tried.astype(np.float32) - rows).sum(1, keepdims=True)
        better = error < best
        best, codes, scale = np.where(better, error, best), np.where(better, near, codes).astype(np.int8), np.where(better, tried, scale)
    return codes, scale


def nearest(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and scales: of a matrix by row or column, whichever is nearer, of convolutions by output channel."""
    if values.ndim == 4:
        codes, scale = quantised(values.reshape(len(values), -1), 1)
        return codes.reshape(values.shape), scale.reshape(-1, 1, 1, 1)
    tries = [quantised(values, axis) for axis in (0, 1)]
    return min(tries, key=lambda found: float(np.square(found[0] * found[1].astype(np.float32) - values).sum()))


def quantised(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and float16 scales along an axis of a matrix."""
    scale = np.maximum(np.abs(values).max(axis, keepdims=True) / 127, 1e-7).astype(np.float16)
    return np.clip(np.round(values / scale.astype(np.float32)), -127, 127).astype(np.int8), scale


def export_graph(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: list[str],
    dynamic: dict[str, dict[int, str]],
    path: Path,
    halve: bool = True,
) -> None:
    """Trace ``module`` to ``path`` with named inputs and outputs and half-precision weight storage; ``whole``: int8 matrices."""
    buffer = io.BytesIO()
    used = {n: dynamic[n] for n in [*inputs, *outputs] if n in dynamic}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer reports shape-only decisions that the tests cover
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer, input_names=list(inputs), output_names=outputs,
            dynamic_axes=used, opset_version=OPSET, dynamo=False, do_constant_folding=True,
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    model = halve_weights(model) if halve else model
    model.producer_name, model.producer_version = "tts-var", ""
    model.doc_string = ""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def export_text(encoder: TextEncoder, path: Path) -> None:
    dynamic = {"input_ids": {1: "T"}, "text_states": {1: "T"}}
    export_graph(encoder, {"input_ids": torch.tensor([[3, 4, 5, 1]])}, ["text_states"], dynamic, path)


def export_condition(model: Infinity, path: Path) -> None:
    c = model.config
    inputs = {"text_states": torch.randn(2, 6, c.text_channels), "text_bias": torch.zeros(2, 1, 1, 6)}
    outputs = ["sos", "gss", "head_ss", *pair_names("ca_", c.depth)]
    export_graph(ConditionGraph(model), inputs, outputs, axes(model), path)


def export_step(model: Infinity, path: Path, kind: type[nn.Module] = FusedStep, halve: bool = True) -> None:
    """``kind``: :class:`StepGraph` writes what folders had before."""
    outputs = ["delta", *pair_names("new_", model.config.depth)]
    export_graph(kind(model), example(model), outputs, axes(model), path, halve=halve)


def export_draft(draft: DraftDecoder, path: Path) -> None:
    latent = torch.randn(2, draft.config.channels, 4, 5)
    spatial = {"latent": {0: "B", 2: "h", 3: "w"}, "image": {0: "B", 2: "H", 3: "W"}}
    export_graph(DecodeGraph(draft), {"latent": latent}, ["image"], spatial, path)


def export_vae(vae: Vae, decode: Path, encode: Path) -> None:
    vae = vae.to(memory_format=torch.contiguous_format)
    side, stride = 4, vae.config.stride
    spatial, pixels = {0: "B", 2: "h", 3: "w"}, {0: "B", 2: "H", 3: "W"}
    latent = torch.randn(2, vae.config.channels, side, side + 1)
    export_graph(DecodeGraph(vae), {"latent": latent}, ["image"], {"latent": spatial, "image": pixels}, decode)
    image = torch.rand(2, 3, side * stride, (side + 1) * stride) * 2 - 1
    export_graph(EncodeGraph(vae), {"image": image}, ["features"], {"image": pixels, "features": spatial}, encode)
