"""Store the large weights of exported graphs as int8: half the size of float16, for the zoo.

A scale by row or column (of kernels by output channel); computing stays float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ttsvar.infinity.graphs import quantised

LEAST = 4096


def store_whole(path: Path) -> None:
    """Rewrites a graph whose weights are float16 behind casts, as ``halve_weights`` leaves them."""
    model = onnx.load(str(path))
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        values = None if tensor is None else numpy_helper.to_array(tensor).astype(np.float32)
        if values is None or values.ndim not in (2, 4) or values.size < LEAST:
            nodes.append(node)
            continue
        codes, scale = nearest(values)
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.extend([
            numpy_helper.from_array(codes, f"{name}.int8"), numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"),
        ])  # fmt: skip
        nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [node.output[0]]))
    graph.ClearField("node")
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def nearest(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and scales of a matrix or of a convolution's kernels."""
    if values.ndim == 4:
        codes, scale = quantised(values.reshape(len(values), -1), 1)
        return codes.reshape(values.shape), scale.reshape(-1, 1, 1, 1)
    tries = [quantised(values, axis) for axis in (0, 1)]
    return min(tries, key=lambda found: float(np.square(found[0] * found[1].astype(np.float32) - values).sum()))
