"""Giving a hollow graph its weights: where each is used, how it is stored, and writing them one at a time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from ttsvar.infinity.official.blockwise import BLOCK, dequantise, quantise
from ttsvar.infinity.official.errors import GIB, ExportError
from ttsvar.infinity.official.hollow import HollowGraph
from ttsvar.infinity.official.tensors import Shape

INLINE_LIMIT = GIB  # a graph with less than this keeps its weights inside; protobuf ends at 2 GiB
ALIGNMENT = 4096
SMALL = 4096  # weights with fewer values stay in float32
ON_THE_HOST = frozenset({"lvl_embed.weight", "pos_start", "word_embed.bias", "cfg_uncond"})  # the sidecar: float32
DTYPES = {"fp32": 32, "fp16": 16, "int8": 8, "int4": 4}


@dataclass(frozen=True)
class Storage:
    """How the weights of one folder are stored; every graph computes in float32 between them.

    bits: 32, 16, or 8 and 4 for the large matrices of the blocks (the rest is then 16).
    activation_bits: 32, or 8 to quantise the other factor of the transformer's products too while computing (faster);
    the text encoder, which runs once per prompt and is known for outliers, always computes in float32.
    """

    bits: int = 32
    activation_bits: int = 32

    def of(self, name: str, shape: Shape) -> int:
        """Bits per value of one weight."""
        if self.bits == 32 or math.prod(shape) < SMALL or name.removeprefix("model.") in ON_THE_HOST:
            return 32
        return self.bits if self.bits >= 16 or _is_block_matrix(name, shape) else 16

    def nbytes(self, name: str, shape: Shape) -> int:
        bits, count = self.of(name, shape), math.prod(shape)
        return count * bits // 8 + (count // BLOCK * 4 if bits < 16 else 0)

    def rounded(self, name: str, value: Tensor) -> Tensor:
        """The float32 values that a reader of the exported graph computes with."""
        bits = self.of(name, tuple(value.shape))
        if bits == 32:
            return value
        return value.half().float() if bits == 16 else dequantise(*quantise(value, bits), bits)


def _is_block_matrix(name: str, shape: Shape) -> bool:
    inside = "block_chunks." in name or ".block." in name or "text_proj_for_ca." in name
    return inside and len(shape) == 2 and shape[1] % BLOCK == 0 and "relative_attention_bias" not in name


@dataclass(frozen=True)
class WrittenGraph:
    """Files of a graph with hash and size: the model, and its weights if they are outside."""

    file: str
    sha256: str
    bytes: int
    data: WrittenGraph | None = None

    @property
    def total(self) -> int:
        return self.bytes + (self.data.total if self.data else 0)


def place(
    hollow: HollowGraph,
    read: Callable[[str], Tensor],
    shapes: dict[str, Shape],
    storage: Storage,
    path: Path,
    advance: Callable[[int, str], None] = lambda count, name: None,
) -> WrittenGraph:
    """Write ``hollow`` to ``path`` with the weights that ``read`` gives by graph name; ``advance`` counts bytes."""
    placement = _Placement(hollow, shapes, storage)
    outside = sum(storage.nbytes(name, shapes[name]) for name in placement.used) > INLINE_LIMIT
    data = path.with_name(path.name + ".data")
    with _Initializers(data if outside else None) as writer:
        for name in placement.used:
            writer.add_all(placement.initializers(name, read(name)))
            advance(storage.nbytes(name, shapes[name]), name)
        model = placement.finish(writer.tensors)
        written = writer.written
    content = model.SerializeToString()
    path.write_bytes(content)
    return WrittenGraph(path.name, hashlib.sha256(content).hexdigest(), len(content), written)


class _Placement:
    """Rewrites the nodes that read weights; afterwards ``used`` lists the weights in order of first use."""

    def __init__(self, hollow: HollowGraph, shapes: dict[str, Shape], storage: Storage) -> None:
        self._model, self._weights, self._shapes, self._storage = hollow.model, hollow.weights, shapes, storage
        self.used: dict[str, bool] = {}  # name -> whether it is stored as a [K, N] factor
        self._transposed: dict[str, str] = {}
        nodes = list(self._model.graph.node)
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._nodes = [new for node in nodes for new in self._rewrite(node)]

    def _rewrite(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        source = node.input[0] if node.input else ""
        if node.op_type == "Transpose" and self._is_factor(source) and self._feeds_products_only(node.output[0]):
            self._transposed[node.output[0]] = source
        elif node.op_type == "MatMul" and node.input[1] in self._transposed:
            yield from self._product(node.input[0], self._transposed[node.input[1]], node.output[0], node.name)
        elif node.op_type == "Gemm" and self._is_factor(node.input[1]) and _is_linear(node):
            product = f"{node.output[0]}.product"
            yield from self._product(node.input[0], node.input[1], product, node.name)
            yield from self._plain(helper.make_node("Add", [product, node.input[2]], node.output, f"{node.name}.bias"))
        elif node.op_type == "Gather" and source in self._weights and self._bits(source) == 16:
            self._use(source, factor=False)  # rows first, then the cast: the table stays small in memory
            rows = f"{node.output[0]}.half"
            gather = helper.make_node("Gather", [f"{source}.half", node.input[1]], [rows], node.name)
            gather.attribute.extend(node.attribute)
            yield gather
            yield helper.make_node("Cast", [rows], node.output, f"{node.name}.cast", to=TensorProto.FLOAT)
        else:
            yield from self._plain(node)

    def _plain(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        for name in node.input:
            if name in self._weights and name not in self.used:
                yield from self._cast(name)
            if name in self._weights:
                self._use(name, factor=False)
        yield node

    def _use(self, name: str, factor: bool) -> None:
        if self.used.setdefault(name, factor) != factor:
            raise ValueError(f"{name} is used both as a matrix factor and otherwise")

    def _product(self, x: str, weight: str, output: str, name: str) -> Iterator[onnx.NodeProto]:
        first = weight not in self.used
        self._use(weight, factor=True)
        bits = self._bits(weight)
        if bits >= 16:
            if first:
                yield from self._cast(weight)
            yield helper.make_node("MatMul", [x, weight], [output], name)
            return
        n, k = self._shapes[weight]
        coarse = self._storage.activation_bits == 8 and weight.startswith("model.")
        yield helper.make_node(
            "MatMulNBits", [x, f"{weight}.codes", f"{weight}.scales"], [output], name, domain="com.microsoft",
            K=k, N=n, bits=bits, block_size=BLOCK, accuracy_level=4 if coarse else 1,
        )  # fmt: skip

    def _cast(self, name: str) -> Iterator[onnx.NodeProto]:
        if self._bits(name) == 16:
            yield helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT)

    def _bits(self, name: str) -> int:
        return self._storage.of(name, self._shapes[name])

    def _is_factor(self, name: str) -> bool:
        return name in self._weights and len(self._shapes[name]) == 2

    def _feeds_products_only(self, output: str) -> bool:
        readers = self._readers.get(output, [])
        return bool(readers) and all(node.op_type == "MatMul" and node.input[1] == output for node in readers)

    def initializers(self, name: str, value: Tensor) -> Iterator[tuple[str, np.ndarray]]:
        """What is stored for a weight: one array, or codes and scales."""
        bits, factor = self._bits(name), self.used[name]
        if bits < 16:
            codes, scales = quantise(value, bits)
            yield f"{name}.codes", codes.numpy()
            yield f"{name}.scales", scales.flatten().numpy()
            return
        if factor:
            value = value.t()
        if bits == 16:
            half = value.half()
            if not torch.isfinite(half).all():
                raise ExportError(f"{name} has values beyond the range of fp16; export with --dtype fp32")
            yield f"{name}.half", half.contiguous().numpy()
        else:
            yield name, value.float().contiguous().numpy()

    def finish(self, initializers: list[TensorProto]) -> onnx.ModelProto:
        graph = self._model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(initializers)
        if not any(entry.domain == "com.microsoft" for entry in self._model.opset_import):
            self._model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return self._model


def _is_linear(node: onnx.NodeProto) -> bool:
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return (
        len(node.input) == 3 and values.get("transB") == 1 and not values.get("transA")
        and values.get("alpha", 1.0) == 1.0 and values.get("beta", 1.0) == 1.0
    )  # fmt: skip


class _Initializers:
    """Collects initialisers in the model, or appends their values to one file beside it."""

    def __init__(self, data: Path | None) -> None:
        self.tensors: list[TensorProto] = []
        self.written: WrittenGraph | None = None
        self._data, self._hash, self._offset = data, hashlib.sha256(), 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Initializers:
        if self._data is not None:
            self._file = self._data.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add_all(self, arrays: Iterator[tuple[str, np.ndarray]]) -> None:
        for name, values in arrays:
            tensor = TensorProto(name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
            if self._file is None:
                tensor.raw_data = values.tobytes()
            else:
                self._append(tensor, values)
            self.tensors.append(tensor)
        if self._file is not None and self._data is not None:
            self.written = WrittenGraph(self._data.name, self._hash.copy().hexdigest(), self._offset)

    def _append(self, tensor: TensorProto, values: np.ndarray) -> None:
        assert self._file is not None and self._data is not None
        self._write(b"\0" * (-self._offset % ALIGNMENT))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._data.name), ("offset", self._offset), ("length", values.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self._write(memoryview(values).cast("B"))

    def _write(self, data: bytes | memoryview) -> None:
        assert self._file is not None
        self._file.write(data)
        self._hash.update(data)
        self._offset += len(data)
