"""Graphs of one folder that hold the same weights keep them once, in a file beside them (ONNX external data)."""

from __future__ import annotations

from pathlib import Path

import onnx

#: Smaller tensors stay in their graphs; offsets are multiples of a page, so that the runtime can map them.
LEAST, ALIGNMENT = 1024, 4096


def share_weights(graphs: list[Path], file: str) -> None:
    """Move all large initialisers of the graphs to ``file`` in their folder, equal ones once; the graphs are rewritten."""
    models = [onnx.load(path) for path in graphs]
    places: dict[bytes, int] = {}
    data = bytearray()
    for model in models:
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) < LEAST:
                continue
            if raw not in places:
                data.extend(bytes(-len(data) % ALIGNMENT))
                places[raw] = len(data)
                data.extend(raw)
            offset, length = places[raw], len(raw)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", file), ("offset", offset), ("length", length)):
                tensor.external_data.add(key=key, value=str(value))
    (graphs[0].parent / file).write_bytes(data)
    for model, path in zip(models, graphs):
        path.write_bytes(model.SerializeToString())
