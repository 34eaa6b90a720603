"""Weights of exported graphs as int8."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from ttsvar.infinity.graphs import halve_weights, store_whole


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
    store_whole(path)
    assert path.stat().st_size < 0.65 * before
    assert np.abs(run() - exact).max() < 0.02 * np.abs(exact).max()
