"""The dual encoder with a vision tower that multiplies int8: activations at fixed scales, weights by column or channel.

    python -m ttsvar.verifiers.dual_encoder.int8 --model ../models/dual-encoder --out ../models/dual-encoder-int8

Made from the exported graph; nothing is trained. Scales of activations come from what a search looks at: draws of the
embedded generator after every scale, for prompts that no study uses (those of `ttsvar.infinity.int8`). They are fixed,
and sums of int8 are exact, so an image gets the same in any batch. What joins the pooled tokens stays float32; the text
tower, which runs once per prompt, is copied.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from ttsvar.infinity.export import digest, round_weights
from ttsvar.infinity.generator import load_bundle
from ttsvar.infinity.int8 import PER_TAG, SEED, Ranges, scale_of, whole_products
from ttsvar.infinity.sample import Settings, Trace, sample
from ttsvar.verifiers.dual_encoder.export import shrink
from ttsvar.world import geneval_prompts

VISION = "onnx/vision_model.onnx"
INPUT = "pixel_values"
#: Values of an activation that an image contributes, and images that are looked at.
KEPT, IMAGES = 2048, 256
#: Of a convolution's input, what is within the range; more or less of it is farther from float32.
PERCENTILE = 99.995


def pictures(generator: Path, checkpoint: str, vae: str) -> np.ndarray:
    """What a search looks at, ``[N, 3, 64, 64]`` in -1..1 by steps of a byte: drafts of later scales, whole images."""
    bundle = round_weights(load_bundle(checkpoint, vae))
    drawing = json.loads((generator / "manifest.json").read_text(encoding="utf-8"))["sampling"]
    settings = Settings(drawing["guidance"], drawing["temperature"], drawing["topP"])
    decoders = [generator / name for name in ("vae_draft.onnx", "vae_decode.onnx")]
    draft, whole = (onnxruntime.InferenceSession(str(path)) for path in decoders)
    prompts = [item["prompt"] for item in geneval_prompts(PER_TAG, SEED)]
    found = []
    for first in range(0, len(prompts), 6):
        trace = Trace()
        sample(bundle, prompts[first : first + 6], 2, settings, SEED + first, fast=False, trace=trace)
        for latent in trace.latents[1:]:
            found.append(draft.run(["image"], {"latent": latent.numpy()})[0])
        found.append(whole.run(["image"], {"latent": trace.latents[-1].numpy()})[0])
    images = np.concatenate(found)
    images = images[np.random.default_rng(SEED).permutation(len(images))[:IMAGES]]
    return (np.floor((np.clip(images, -1, 1) + 1) / 2 * 255) / 255 * 2 - 1).astype(np.float32)


def plain_tower(path: Path, out: Path) -> onnx.ModelProto:
    """The tower with weights in float32, as the quantiser wants it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    onnxruntime.InferenceSession(str(path), options, disabled_optimizers=["MatMulAddFusion"])
    return onnx.load(str(out))


def ranges_of(model: onnx.ModelProto, images: np.ndarray) -> Ranges:
    """Ranges of what every product with a weight multiplies, by the weight's bytes."""
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights]
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    names = sorted({node.input[0] for node in products})
    seen.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(seen.SerializeToString())
    samples: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    generator = np.random.default_rng(SEED)
    for image in images:
        for name, value in zip(names, session.run(names, {INPUT: image[None]})):
            flat = value.ravel()
            kept = generator.choice(flat, min(KEPT, flat.size), replace=False)
            kept = np.concatenate([kept, [flat.min(), flat.max()]]).astype(np.float32)
            samples[name].append(torch.from_numpy(kept))
    scales = {name: scale_of(torch.cat(values)) for name, values in samples.items()}
    return {weights[node.input[1]].tobytes(): scales[node.input[0]] for node in products}


class Images(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.rest = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.rest, None)
        return None if image is None else {INPUT: image[None]}


def export_tower(path: Path, images: np.ndarray, out: Path) -> int:
    """Write the tower with products and convolutions of int8; returns how many products."""
    with tempfile.TemporaryDirectory() as folder:
        plain, products, whole = (Path(folder) / f"{name}.onnx" for name in ("plain", "products", "whole"))
        model = plain_tower(path, plain)
        count = whole_products(model, ranges_of(model, images))
        onnx.save(model, str(products))
        quantize_static(
            products, whole, Images(images), quant_format=QuantFormat.QOperator, op_types_to_quantize=["Conv"],
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile, extra_options={"CalibPercentile": PERCENTILE},
        )  # fmt: skip
        shrink(whole)
        shutil.copyfile(whole, out)
    return count


def export(base: Path, images: np.ndarray, out: Path) -> dict:
    """Write a model folder from that of the dual encoder in float32; returns the manifest."""
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    manifest = json.loads((base / "manifest.json").read_text(encoding="utf-8"))
    files = {}
    for name, entry in manifest["files"].items():
        if name == VISION:
            products = export_tower(base / name, images, out / name)
        else:
            shutil.copyfile(base / name, out / name)
        files[name] = digest(out / name) | ({"approximates": entry["sha256"]} if name == VISION else {})
    content = manifest | {
        "name": out.name, "version": "1.0.0", "compute": "int8", "files": files,
        "training": {
            "from": base.name, "int8Products": products, "calibrationImages": len(images), "calibrationSeed": SEED,
        },
    }  # fmt: skip
    (out / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("../models/dual-encoder"))
    parser.add_argument("--generator", type=Path, default=Path("../models/generator"), help="draws for the scales")
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt", help="its weights")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../models/dual-encoder-int8"))
    a = parser.parse_args()
    content = export(a.model, pictures(a.generator, a.checkpoint, a.vae), a.out)
    size = content["files"][VISION]["bytes"] / 2**20
    print(f"{a.out}: {content['training']['int8Products']} products of int8; vision tower {size:.2f} MiB")


if __name__ == "__main__":
    main()
