"""Writes a detector as a folder that transformers.js loads as YOLOS: config, preprocessor and ONNX graph."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from ...world import CLASSES, COLORS
from .model import YolosHead

OUTPUTS = ("logits", "pred_boxes", "color_logits")


def export_onnx(head: YolosHead, path: Path, size: int, half_weights: bool = True) -> None:
    """Graph pixel_values f32 [B, 3, size, size] -> logits, pred_boxes, color_logits; B is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = head.eval().float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer remarks on constant shapes; the size is fixed on purpose
        torch.onnx.export(
            head,
            (torch.rand(2, 3, size, size),),
            str(path),
            input_names=["pixel_values"],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in ("pixel_values", *OUTPUTS)},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load(str(path))
    if half_weights:
        store_weights_as_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def store_weights_as_half(model: onnx.ModelProto, minimum: int = 256) -> None:
    """Replaces large fp32 initialisers by fp16 ones followed by a Cast: half the file, the arithmetic stays fp32."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < minimum:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name + "_f16")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], name=name + "_cast", to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)


def write_folder(head: YolosHead, folder: Path, size: int) -> None:
    """onnx/model.onnx, config.json and preprocessor_config.json."""
    export_onnx(head, folder / "onnx" / "model.onnx", size)
    config = {
        "model_type": "yolos",
        "architectures": ["YolosForObjectDetection"],
        "image_size": [size, size],
        "num_detection_tokens": head.queries,
        "id2label": {str(i): name for i, name in enumerate(CLASSES)},
        "label2id": {name: i for i, name in enumerate(CLASSES)},
        "color_labels": list(COLORS),
    }
    preprocessor = {
        "image_processor_type": "YolosImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": False,
        "do_pad": False,
    }
    for name, content in (("config.json", config), ("preprocessor_config.json", preprocessor)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
