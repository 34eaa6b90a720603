"""Writes reward models as folders in transformers.js layout, each with a manifest of hashes."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from pathlib import Path

import torch
from torch import nn

from .image_reward import TEXT_LENGTH, ImageReward
from .linear_head import fold_linear
from .open_clip import OpenClip, TextTower

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
# Protobuf files end at 2 GiB; larger graphs keep their weights beside them.
EXTERNAL_DATA_BYTES = 1 << 30


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def export_graph(module: nn.Module, example: dict[str, torch.Tensor], output: str, path: Path) -> None:
    """One ONNX graph with a free batch axis; named inputs and one named output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer remarks on shapes that are fixed on purpose
        torch.onnx.export(
            module.eval(), tuple(example.values()), str(path), input_names=list(example), output_names=[output],
            dynamic_axes={name: {0: "batch"} for name in (*example, output)}, opset_version=17, dynamo=False,
        )  # fmt: skip
    if size > EXTERNAL_DATA_BYTES:
        import onnx

        graph = onnx.load(str(path))
        onnx.save_model(graph, str(path), save_as_external_data=True, location=path.name + "_data")


def write_image_reward(model: ImageReward, tokenizer: Path, folder: Path) -> None:
    c = model.config
    example = {
        "pixel_values": torch.rand(2, 3, c.image_size, c.image_size),
        "input_ids": torch.ones(2, TEXT_LENGTH, dtype=torch.long),
        "attention_mask": torch.ones(2, TEXT_LENGTH, dtype=torch.long),
    }
    export_graph(model, example, "rewards", folder / "onnx" / "model.onnx")
    write_json(folder / "config.json", {"model_type": "image_reward", "max_text_length": TEXT_LENGTH})
    write_preprocessor(folder, c.image_size)
    copy_tokenizer(tokenizer, folder)


def write_dual_tower(model: OpenClip, tokenizer: Path, folder: Path) -> None:
    c = model.config
    pixels = {"pixel_values": torch.rand(2, 3, c.image_size, c.image_size)}
    export_graph(model.visual, pixels, "image_embeds", folder / "onnx" / "vision_model.onnx")
    ids = {"input_ids": torch.ones(2, c.context, dtype=torch.long)}
    export_graph(TextTower(model), ids, "text_embeds", folder / "onnx" / "text_model.onnx")
    config = {
        "model_type": "clip",
        "projection_dim": c.embed,
        "logit_scale": float(model.logit_scale.detach()),
        "text_config": {"model_type": "clip_text_model", "max_position_embeddings": c.context, "vocab_size": c.vocabulary},
        "vision_config": {"model_type": "clip_vision_model", "image_size": c.image_size, "patch_size": c.patch},
    }
    write_json(folder / "config.json", config)
    write_preprocessor(folder, c.image_size)
    copy_tokenizer(tokenizer, folder)


def write_head(state: dict[str, torch.Tensor], folder: Path) -> None:
    """aesthetic_head.json: the affine map on the unit image embedding."""
    weights, bias = fold_linear(state)
    write_json(folder / "aesthetic_head.json", {"schemaVersion": 1, "weights": weights.tolist(), "bias": bias})


def write_preprocessor(folder: Path, edge: int, **changes: object) -> None:
    config = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True, "size": {"shortest_edge": edge}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": edge, "width": edge},
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": CLIP_MEAN, "image_std": CLIP_STD,
    }  # fmt: skip
    write_json(folder / "preprocessor_config.json", config | changes)


def copy_tokenizer(source: Path, folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (source / name).exists():
            raise FileNotFoundError(f"{source / name} is missing; give the folder of the model's fast tokenizer")
        shutil.copyfile(source / name, folder / name)


def write_manifest(folder: Path, name: str, license_: str, flops: int, source: str) -> None:
    """manifest.json over all files of the folder; flops are per scored image."""
    files = {
        str(path.relative_to(folder)): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"
    }  # fmt: skip
    manifest = {
        "schemaVersion": 1, "name": name, "kind": "reward", "version": "1", "license": license_, "source": source,
        "flops": flops, "files": files,
    }  # fmt: skip
    write_json(folder / "manifest.json", manifest)


def transformer_flops(tokens: int, width: int, hidden: int, depth: int) -> int:
    """Multiply-adds counted twice: projections, feed-forward and attention of `depth` layers."""
    return 2 * depth * tokens * (4 * width * width + 2 * width * hidden + 2 * tokens * width)
