"""Writes manifest.json of an exported detector: file hashes and the cost of one image.

    python -m ttsvar.verifiers.detector.manifest --name a
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path

import onnx

from ...world.paths import MODELS

SHIPPED = ("config.json", "preprocessor_config.json", "onnx/model.onnx")
VERSION = "1.1.0"


def graph_flops(path: Path, pixels: int) -> int:
    """FLOPs (2 per multiply-accumulate) of all convolutions for one image of ``pixels`` x ``pixels``."""
    model = onnx.load(path)
    for value, fixed in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, pixels, pixels)):
        value.dim_value = fixed
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    shapes |= {v.name: list(v.dims) for v in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            weight, output = shapes[node.input[1]], shapes[node.output[0]]
            total += 2 * math.prod(weight) * math.prod(output[2:])
    return total


def manifest(folder: Path) -> dict:
    """The manifest of a detector folder; reads the exported files only."""
    files = {name: (folder / name).read_bytes() for name in SHIPPED}
    pixels = json.loads(files["preprocessor_config.json"])["size"]["height"]
    return {
        "schemaVersion": 1,
        "name": folder.name,
        "kind": "detector",
        "version": VERSION,
        "format": "yolos",
        "imageSize": pixels,
        "flops": {"image": graph_flops(folder / "onnx/model.onnx", pixels)},
        "card": "card.md",
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", choices=("a", "b"), required=True)
    folder = MODELS / f"detector-{parser.parse_args().name}"
    text = json.dumps(manifest(folder), indent=2) + "\n"
    (folder / "manifest.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
