"""Checkpoint -> folder in the layout of transformers.js (model_type clip):
python -m ttsvar.verifiers.dual_encoder.export --checkpoint checkpoints/dual-encoder/checkpoint.pt --out ../models/dual-encoder
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint

from .config import ModelConfig
from .model import DualEncoder, flops, load_weights

VERSION = "1.0.0"
OPSET = 17
MEAN = STD = 0.5


def shrink(graph_file: Path) -> None:
    """Float32 weights become float16 with a Cast to float32 behind them (folded when the session starts)."""
    model = onnx.load(str(graph_file))
    graph = model.graph
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 64:
            continue
        name = tensor.name
        half = numpy_helper.from_array(values.astype(np.float16), name + "_f16")
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    model.producer_name, model.producer_version, model.doc_string = "ttsvar", VERSION, ""
    onnx.checker.check_model(model)
    onnx.save(model, str(graph_file))


class _Vision(nn.Module):
    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.tower = model.vision

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        return self.tower(pixel_values)


def export_towers(model: DualEncoder, folder: Path) -> None:
    """onnx/vision_model.onnx and onnx/text_model.onnx with free batch (and text length) axes."""
    folder.mkdir(parents=True, exist_ok=True)
    c = model.config
    model = model.float().eval()
    pixels = torch.zeros(2, 3, c.image_size, c.image_size)
    ids = torch.zeros(2, c.context_length, dtype=torch.int64)
    jobs: list[tuple[str, nn.Module, tuple[Tensor, ...], list[str], list[str], dict[str, dict[int, str]]]] = [
        ("vision_model.onnx", _Vision(model), (pixels,), ["pixel_values"], ["image_embeds", "last_hidden_state"],
         {"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}, "last_hidden_state": {0: "batch"}}),
        ("text_model.onnx", model.text, (ids, torch.ones_like(ids)), ["input_ids", "attention_mask"], ["text_embeds"],
         {"input_ids": {0: "text", 1: "length"}, "attention_mask": {0: "text", 1: "length"},
          "text_embeds": {0: "text"}}),
    ]  # fmt: skip
    for name, module, example, inputs, outputs, axes in jobs:
        with torch.no_grad():
            torch.onnx.export(
                module, example, str(folder / name), input_names=inputs, output_names=outputs, dynamic_axes=axes,
                opset_version=OPSET, do_constant_folding=True, dynamo=False,
            )  # fmt: skip
        shrink(folder / name)


def clip_config(c: ModelConfig, special: dict[str, int]) -> dict[str, Any]:
    """config.json; the towers' inside is not CLIP's, so only sizes are given."""
    return {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": c.projection_dim,
        "logit_scale_init_value": c.logit_scale_init,
        "text_config": {
            "model_type": "clip_text_model", "hidden_size": c.text_width, "num_hidden_layers": c.text_layers,
            "num_attention_heads": c.text_heads, "intermediate_size": c.mlp_ratio * c.text_width,
            "max_position_embeddings": c.context_length, "vocab_size": c.vocab_size,
            "projection_dim": c.projection_dim, **special,
        },
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": c.vision_width, "num_hidden_layers": c.vision_layers,
            "num_attention_heads": c.vision_heads, "intermediate_size": c.mlp_ratio * c.vision_width,
            "image_size": c.image_size, "patch_size": c.image_size // c.grid, "num_channels": 3,
            "projection_dim": c.projection_dim,
        },
    }  # fmt: skip


def preprocessor_config(size: int) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"width": size, "height": size},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def manifest(folder: Path, c: ModelConfig, details: dict[str, Any]) -> dict[str, Any]:
    """sha256 and bytes of every file that is loaded, sizes, cost."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".md" and path.name not in ("manifest.json", "evaluation.json"):
            data = path.read_bytes()
            files[path.relative_to(folder).as_posix()] = {
                "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)
            }  # fmt: skip
    image_flops, text_flops = flops(c)
    return {
        "schemaVersion": 1,
        "name": "dual-encoder",
        "kind": "dual-encoder",
        "version": VERSION,
        "format": "clip",
        "imageSize": c.image_size,
        "projectionDim": c.projection_dim,
        "hiddenSize": c.vision_width,
        "patchGrid": [c.grid, c.grid],
        "contextLength": c.context_length,
        "embeds": "not normalised; the score is the cosine",
        "flops": {"image": image_flops, "text": text_flops},
        # Rows of so many images together have the bits that each has alone (test/e2e/generator-encoders.test.ts).
        "verification": {"batch": 8},
        **details,
        "files": files,
    }


def export(model: DualEncoder, tokenizer_folder: Path, out: Path, details: dict[str, Any]) -> None:
    """Writes the whole folder; the tokenizer files are copies of the project's text tokenizer."""
    out.mkdir(parents=True, exist_ok=True)
    c = model.config
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder / name, out / name)
    config_file = out / "tokenizer_config.json"
    settings = json.loads(config_file.read_text(encoding="utf-8"))
    settings["model_max_length"] = c.context_length
    write_json(config_file, settings)
    vocab = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    special = {
        f"{role}_token_id": vocab[settings[f"{role}_token"]]
        for role in ("bos", "eos", "pad")
        if isinstance(settings.get(f"{role}_token"), str)
    }
    export_towers(model, out / "onnx")
    scale = {"logit_scale_init_value": round(float(model.logit_scale.detach()), 4)}
    write_json(out / "config.json", clip_config(c, special) | scale)
    write_json(out / "preprocessor_config.json", preprocessor_config(c.image_size))
    write_json(out / "manifest.json", manifest(out, c, details))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    saved = load_checkpoint(args.checkpoint)
    config = ModelConfig.from_dict(saved["config"]["model"])
    model = DualEncoder(config)
    load_weights(model, saved["model"])
    details = {"training": {"images": saved["images"], "seed": saved["config"]["seed"]}}
    export(model, args.tokenizer, args.out, details)


if __name__ == "__main__":
    main()
