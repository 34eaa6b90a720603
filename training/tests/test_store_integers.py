"""Weights of exported graphs as int8."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from ttsvar.infinity.graphs import blocks, export_graph, halve_weights, store_integers


def test_large_weights_become_int8_and_the_graph_stays_near(tmp_path) -> None:  # noqa: ANN001
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 64, 3, padding=1), nn.Flatten(2), nn.Linear(64, 96)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.half().float())
    buffer, x = io.BytesIO(), torch.randn(2, 8, 8, 8)
    torch.onnx.export(net, (x,), buffer, input_names=["x"], output_names=["y"], dynamo=False)
    path = tmp_path / "net.onnx"
    path.write_bytes(halve_weights(onnx.load_from_string(buffer.getvalue())).SerializeToString())
    before = path.stat().st_size
    run = lambda: onnxruntime.InferenceSession(str(path)).run(None, {"x": x.numpy()})[0]  # noqa: E731
    exact = run()
    store_integers(path)
    assert path.stat().st_size < 0.65 * before
    assert np.abs(run() - exact).max() < 0.02 * np.abs(exact).max()


def test_four_bits_come_back_as_the_codes_times_their_scales(tmp_path) -> None:  # noqa: ANN001
    torch.manual_seed(1)
    net = nn.Linear(64, 128, bias=False).eval()
    with torch.no_grad():
        net.weight.copy_(net.weight.half().float())
    buffer, x = io.BytesIO(), torch.eye(64)
    torch.onnx.export(net, (x,), buffer, input_names=["x"], output_names=["y"], dynamo=False)
    path = tmp_path / "net.onnx"
    path.write_bytes(halve_weights(onnx.load_from_string(buffer.getvalue())).SerializeToString())
    stored = onnx.load(str(path)).graph.initializer
    codes, scale = blocks(next(onnx.numpy_helper.to_array(t) for t in stored if len(t.dims) == 2).astype(np.float32))
    store_integers(path, bits=4)
    once = path.read_bytes()
    found = onnxruntime.InferenceSession(str(path)).run(None, {"x": x.numpy()})[0]
    np.testing.assert_array_equal(np.sort(found, None), np.sort(codes * scale.astype(np.float32), None))
    exact = net.weight.detach().numpy().T
    assert np.square(found - exact).sum() < 0.01 * np.square(exact).sum()
    store_integers(path)
    assert path.read_bytes() == once, "what is stored as integers stays"


class Part(nn.Module):
    """A product whose module also has what this graph does not use."""

    def __init__(self, product: nn.Linear, others: int):
        super().__init__()
        self.others = nn.ModuleList(nn.Linear(3, 3) for _ in range(others))
        self.product = product

    def forward(self, x):  # noqa: ANN001, ANN201
        return self.product(x)


def test_the_same_part_of_two_models_is_stored_to_the_same_bytes(tmp_path) -> None:  # noqa: ANN001
    torch.manual_seed(2)
    product, found = nn.Linear(64, 96), []
    with torch.no_grad():
        for parameter in product.parameters():
            parameter.copy_(parameter.half().float())
    for others in (0, 3):
        path = tmp_path / f"{others}.onnx"
        export_graph(Part(product, others), {"x": torch.randn(2, 5, 64)}, ["y"], {}, path)
        before = path.read_bytes()
        store_integers(path)
        found.append((before, path.read_bytes()))
    (traced, stored), (other_traced, other_stored) = found
    assert traced != other_traced and stored == other_stored
