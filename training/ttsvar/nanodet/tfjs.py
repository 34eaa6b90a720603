"""A TensorFlow.js graph model (model.json and binary shards) as nodes and initialisers of an ONNX graph.

Covers what convolutional detectors use. Layouts: TensorFlow's NHWC is kept between the operators, every convolution is
wrapped in transpositions, which ONNX Runtime folds away.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

PADDING = {"SAME": "SAME_UPPER", "VALID": "VALID"}
PLAIN = {"Add": "Add", "AddV2": "Add", "Mul": "Mul", "Sub": "Sub", "Relu": "Relu", "Sigmoid": "Sigmoid", "Identity": "Identity"}


def read_weights(model: dict, folder: Path) -> tuple[dict[str, np.ndarray], set[str]]:
    """Weights by name, and the names of those that are stored in half precision."""
    weights: dict[str, np.ndarray] = {}
    halves = set()
    for group in model["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        at = 0
        for entry in group["weights"]:
            stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
            if entry.get("quantization") and stored != "float16":
                raise ValueError(f"{entry['name']} is quantised to {stored}; only float16 is read")
            dtype = np.dtype(stored)
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(data, dtype, count, at).reshape(entry["shape"])
            at += count * dtype.itemsize
            if stored == "float16":
                halves.add(entry["name"])
            weights[entry["name"]] = values.astype(np.float32) if stored == "float16" else values.copy()
        if at != len(data):
            raise ValueError(f"the shards have {len(data)} bytes, but their manifest describes {at}")
    return weights, halves


def attribute(node: dict, key: str, default: Any = None) -> Any:
    value = node.get("attr", {}).get(key)
    if value is None:
        return default
    kind, content = next(iter(value.items()))
    if kind == "s":
        return base64.b64decode(content).decode()
    if kind == "list":
        return [int(i) for i in content.get("i", [])] or [base64.b64decode(s).decode() for s in content.get("s", [])]
    return {"b": bool, "i": int, "f": float}[kind](content)


@dataclass
class Converter:
    """Walks from the outputs to the inputs, and writes each node once."""

    model: dict
    constants: dict[str, np.ndarray]
    #: Constants whose values half precision holds exactly; they are stored so and widened by the graph.
    halves: set[str] = field(default_factory=set)
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.graph = {node["name"]: node for node in self.model["modelTopology"]["node"]}

    @classmethod
    def of_file(cls, path: Path) -> "Converter":
        model = json.loads(path.read_text())
        weights, halves = read_weights(model, path.parent)
        return cls(model, weights, halves)

    def op(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: Any, name: str | None = None, half: bool = False) -> str:
        """Name of a tensor with these values; int32 becomes int64, which ONNX wants for shapes and axes."""
        name = name or f"constant_{len(self.initializers)}"
        if name in self.initializers or f"{name}.half" in self.initializers:
            return name
        values = np.asarray(values)
        values = values.astype({"i": np.int64, "f": np.float32}[values.dtype.kind])
        if half and values.size > 64:
            self.initializers[f"{name}.half"] = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
            return self.op("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)
        self.initializers[name] = numpy_helper.from_array(values, name)
        return name

    def value(self, reference: str) -> str:
        base = reference.split(":")[0]
        if base not in self.constants:
            return reference
        return self.constant(self.constants[base], base, base in self.halves)

    def known(self, reference: str) -> np.ndarray:
        return self.constants[reference.split(":")[0]]

    def visit(self, name: str) -> None:
        base = name.split(":")[0]
        if base in self.done or base in self.constants:
            return
        node = self.graph[base]
        inputs = [each for each in node.get("input", []) if not each.startswith("^")]
        for each in inputs:
            self.visit(each)
        self.done.add(base)
        kind = node["op"]
        if kind == "Placeholder":
            return
        if all(each.split(":")[0] in self.constants for each in inputs) and kind in ("SparseToDense", "Add", "AddV2"):
            self.constants[base] = self.fold(kind, [self.known(each) for each in inputs])
        else:
            self.write(kind, node, inputs, base)

    @staticmethod
    def fold(kind: str, values: list[np.ndarray]) -> np.ndarray:
        if kind != "SparseToDense":
            return values[0] + values[1]
        places, shape, entries, default = values
        dense = np.full(tuple(int(side) for side in shape), default, dtype=default.dtype)
        if places.size:
            dense[tuple(places.reshape(-1, places.shape[-1]).T)] = entries
        return dense

    def write(self, kind: str, node: dict, inputs: list[str], out: str) -> None:
        first = self.value(inputs[0])
        if kind in PLAIN:
            self.op(PLAIN[kind], [self.value(each) for each in inputs], out)
        elif kind == "Relu6":
            self.op("Clip", [first, self.constant(np.float32(0)), self.constant(np.float32(6))], out)
        elif kind == "LeakyRelu":
            self.op("LeakyRelu", [first], out, alpha=attribute(node, "alpha", 0.2))
        elif kind == "Transpose":
            self.op("Transpose", [first], out, perm=[int(axis) for axis in self.known(inputs[1])])
        elif kind in ("Pad", "PadV2"):
            pads = self.known(inputs[1])
            fill = [self.constant(self.known(inputs[2]))] if kind == "PadV2" else []
            self.op("Pad", [first, self.constant(np.concatenate([pads[:, 0], pads[:, 1]])), *fill], out)
        elif kind in ("Conv2D", "DepthwiseConv2dNative"):
            self.nhwc(self.convolution(node, first, inputs[1], None), out)
        elif kind in ("_FusedConv2D", "FusedDepthwiseConv2dNative"):
            activated = self.convolution(node, first, inputs[1], inputs[2])
            for name in attribute(node, "fused_ops")[1:]:
                activated = self.activation(name, activated)
            self.nhwc(activated, out)
        elif kind == "MaxPool":
            pooled = self.op(
                "MaxPool",
                [self.nchw(first)],
                kernel_shape=attribute(node, "ksize")[1:3],
                strides=attribute(node, "strides")[1:3],
                auto_pad=PADDING[attribute(node, "padding")],
            )
            self.nhwc(pooled, out)
        elif kind == "Mean":
            axes = self.constant(self.known(inputs[1]))
            self.op("ReduceMean", [first, axes], out, keepdims=int(attribute(node, "keep_dims", False)))
        elif kind == "ConcatV2":
            self.op("Concat", [self.value(each) for each in inputs[:-1]], out, axis=int(self.known(inputs[-1])))
        elif kind == "Reshape":
            self.op("Reshape", [first, self.constant(self.known(inputs[1]))], out)
        elif kind == "ResizeBilinear":
            self.resize(node, first, self.known(inputs[1]), out)
        elif kind == "SplitV":
            sizes = self.known(inputs[1])
            outputs = [out, *(f"{out}:{part}" for part in range(1, len(sizes)))]
            axis = int(self.known(inputs[2]))
            self.nodes.append(helper.make_node("Split", [first, self.constant(sizes)], outputs, axis=axis))
        else:
            raise ValueError(f"{out}: there is no conversion for the operator {kind}")

    def nchw(self, name: str) -> str:
        return self.op("Transpose", [name], perm=[0, 3, 1, 2])

    def nhwc(self, name: str, out: str) -> str:
        return self.op("Transpose", [name], out, perm=[0, 2, 3, 1])

    def activation(self, name: str, tensor: str) -> str:
        if name == "Relu6":
            return self.op("Clip", [tensor, self.constant(np.float32(0)), self.constant(np.float32(6))])
        if name == "Relu":
            return self.op("Relu", [tensor])
        raise ValueError(f"there is no conversion for the fused activation {name}")

    def convolution(self, node: dict, x: str, kernel: str, bias: str | None) -> str:
        base = kernel.split(":")[0]
        weights = self.constants[base]
        height, width, channels, multiplier = weights.shape
        depthwise = "Depthwise" in node["op"]
        if depthwise:
            weights = weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
        else:
            weights = weights.transpose(3, 2, 0, 1)
        dilations = attribute(node, "dilations", [1, 1, 1, 1])
        return self.op(
            "Conv",
            [self.nchw(x), self.constant(weights, f"{base}.kernel", base in self.halves), *([self.value(bias)] if bias else [])],
            strides=attribute(node, "strides")[1:3],
            dilations=dilations[1:3] if len(dilations) == 4 else [1, 1],
            group=channels if depthwise else 1,
            auto_pad=PADDING[attribute(node, "padding")],
        )

    def resize(self, node: dict, x: str, sides: np.ndarray, out: str) -> None:
        planes = self.nchw(x)
        leading = self.op("Slice", [self.op("Shape", [planes]), self.constant([0]), self.constant([2])])
        sizes = self.op("Concat", [leading, self.constant(sides)], axis=0)
        centres = "half_pixel" if attribute(node, "half_pixel_centers") else None
        corners = "align_corners" if attribute(node, "align_corners") else "asymmetric"
        mode = {"mode": "linear", "coordinate_transformation_mode": centres or corners}
        self.nhwc(self.op("Resize", [planes, "", "", sizes], **mode), out)
