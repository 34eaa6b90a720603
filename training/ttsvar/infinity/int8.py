"""A generator whose transformer and decoder multiply int8: activations at fixed scales, weights by column, sums in int32.

    python -m ttsvar.infinity.int8 --model ../models/generator --out ../models/embedded-int8

Sums of int8 products are exact, so what a candidate gets depends neither on its batch nor on the order of additions. Scales
of activations are those with the least squared error over draws of prompts that no study uses. The other graphs are those of
the model that it is made of, and are named there instead of copied. `ttsvar.infinity.restore` writes the checkpoints.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ttsvar.infinity import graphs
from ttsvar.infinity.export import digest, round_weights
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.sample import Settings, Trace, sample
from ttsvar.world import geneval_prompts

#: Weights have seven bits: a pair of products then fits the 16 bits in which older processors add it.
WEIGHT_MAX, LEVELS = 63, 255
#: Values of a layer's input that a call contributes.
KEPT = 4096
#: Prompts of each kind, and their seed, which no study has.
PER_TAG, SEED = 6, 977

#: Scale and zero point of uint8 by the bytes of the weight ``[K, N]`` that they are multiplied with.
Ranges = dict[bytes, tuple[float, int]]


def storage(weight: Tensor) -> int:
    """What all views of a weight have in common."""
    return weight.untyped_storage().data_ptr()


class Observed(TorchFunctionMode):
    """Remembers a sample of what goes into every linear layer, by the storage of its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.samples: dict[int, list[Tensor]] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        if func is F.linear:
            x = args[0].detach().flatten().float()
            step = max(1, x.numel() // KEPT)
            kept = torch.cat([x[int(torch.randint(step, (1,))) :: step], x.min()[None], x.max()[None]])
            self.samples.setdefault(storage(args[1]), []).append(kept)
        return func(*args, **(kwargs or {}))


def scale_of(x: Tensor) -> tuple[float, int]:
    """Scale and zero point of uint8 with the least squared error for a sample; what is outside is cut."""
    best = (float("inf"), 1.0, 0)
    low, high = min(0.0, x.min().item()), max(0.0, x.max().item())
    for share in torch.linspace(0.2, 1, 33).tolist():
        scale = max(high - low, 1e-6) * share / LEVELS
        zero = round(max(0, min(LEVELS, -low * share / scale)))
        back = (torch.clamp(torch.round(x / scale) + zero, 0, LEVELS) - zero) * scale
        best = min(best, ((back - x).square().mean().item(), scale, zero))
    return best[1], best[2]


def measured(bundle: Bundle, settings: Settings, candidates: int = 2) -> tuple[Ranges, list[np.ndarray]]:
    """Ranges of what goes into the matrices of the blocks (of text there is too little to matter), and latents after all scales."""
    model = bundle.generator.model
    matrices = {
        storage(parameter): parameter.detach()
        for name, parameter in model.named_parameters()
        if name.startswith("block_chunks") and parameter.ndim == 2 and "mat_kv" not in name
    }
    prompts = [item["prompt"] for item in geneval_prompts(PER_TAG, SEED)]
    torch.manual_seed(SEED)
    trace = Trace()
    with Observed() as observed:
        for first in range(0, len(prompts), 6):
            sample(bundle, prompts[first : first + 6], candidates, settings, SEED + first, fast=False, trace=trace)
    ranges: Ranges = {}
    for key, weight in matrices.items():
        found = scale_of(torch.cat(observed.samples[key]))
        # The step graph has query, key and value as products of their own.
        for part in (weight, *weight.chunk(3)):
            ranges[part.T.contiguous().numpy().tobytes()] = found
    return ranges, [latent.numpy() for latent in trace.latents]


def whole_products(model: onnx.ModelProto, ranges: Ranges) -> int:
    """Put int8 in place of the products whose weights ``[K, N]`` have a scale, by their bytes; returns how many there were."""
    graph = model.graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    added: dict[str, np.ndarray] = {}
    nodes, biases, done, known = list(graph.node), {}, 0, {}
    for node in nodes:
        if node.op_type == "Add":
            for product, bias in (node.input, reversed(node.input)):
                if bias in weights and weights[bias].ndim == 1 and readers[product] == 1:
                    biases[product] = (bias, node)
    graph.ClearField("node")
    skipped = set()
    for node in nodes:
        if id(node) in skipped:
            continue
        value = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if value is None or value.tobytes() not in ranges:
            graph.node.append(node)
            continue
        x, weight = node.input
        scale, zero = ranges[value.tobytes()]
        if (x, scale) not in known:
            known[x, scale] = name = f"{x}.{len(known)}.whole"
            added |= {f"{name}.scale": np.float32(scale), f"{name}.zero": np.uint8(zero)}
            graph.node.append(helper.make_node("QuantizeLinear", [x, f"{name}.scale", f"{name}.zero"], [name]))
        whole = known[x, scale]
        columns = np.abs(value).max(0).astype(np.float32) / np.float32(WEIGHT_MAX)
        added |= {f"{weight}.int8": np.round(value / columns).astype(np.int8), f"{weight}.columns": columns}
        inputs = [whole, f"{weight}.int8", f"{whole}.scale", f"{weight}.columns", f"{whole}.zero"]
        output = node.output[0]
        if output in biases:
            bias, add = biases[output]
            skipped.add(id(add))
            inputs += ["", bias]
            output = add.output[0]
        graph.node.append(helper.make_node("MatMulIntegerToFloat", inputs, [output], domain="com.microsoft"))
        done += 1
    used = {name for node in graph.node for name in node.input}
    kept = [t for t in graph.initializer if t.name in used]
    graph.ClearField("initializer")
    graph.initializer.extend(kept + [numpy_helper.from_array(np.asarray(v), k) for k, v in added.items()])
    if not any(o.domain == "com.microsoft" for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return done


def export_step(model: Infinity, ranges: Ranges, path: Path) -> int:
    """Write the step graph with products of int8; returns how many."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "step.onnx"
        graphs.export_step(model, whole, halve=False)
        step = onnx.load(str(whole))
    count = whole_products(step, ranges)
    step = graphs.halve_weights(step)
    onnx.checker.check_model(step)
    path.write_bytes(step.SerializeToString())
    return count


class Latents(CalibrationDataReader):
    def __init__(self, latents: list[np.ndarray]) -> None:
        self.rest = iter(latents)

    def get_next(self) -> dict[str, np.ndarray] | None:
        latent = next(self.rest, None)
        return None if latent is None else {"latent": latent}


def export_decoder(decoder: Path, latents: list[np.ndarray], path: Path) -> None:
    """Write a decoder with convolutions of int8."""
    with tempfile.TemporaryDirectory() as folder:
        plain, whole = Path(folder) / "plain.onnx", Path(folder) / "whole.onnx"
        options = onnxruntime.SessionOptions()
        # Weights in float16 become constants in float32.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(plain)
        onnxruntime.InferenceSession(str(decoder), options)
        quantize_static(
            plain, whole, Latents(latents), quant_format=QuantFormat.QOperator, op_types_to_quantize=["Conv"],
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        model = onnx.load(str(whole))
    model.producer_name, model.producer_version = "tts-var", ""
    path.write_bytes(model.SerializeToString())


def export(bundle: Bundle, base: Path, out: Path) -> dict:
    """Write a model folder beside ``base``, of which ``bundle`` are the weights; returns the manifest."""
    bundle = round_weights(bundle)
    manifest = json.loads((base / "manifest.json").read_text(encoding="utf-8"))
    drawing = manifest["sampling"]
    out.mkdir(parents=True, exist_ok=True)
    ranges, latents = measured(bundle, Settings(drawing["guidance"], drawing["temperature"], drawing["topP"]))
    products = export_step(bundle.generator.model, ranges, out / "step.onnx")
    decoder = manifest["graphs"]["vae_decode"]
    export_decoder(base / decoder["file"], latents, out / "vae_decode.onnx")
    for name in (manifest["sidecar"]["file"], *manifest["tokenizer"]["files"]):
        shutil.copyfile(base / name, out / name)
    content = manifest | {
        "name": out.name, "version": "1.0.0", "compute": "int8",
        "graphs": {name: {**entry, "of": base.name} for name, entry in manifest["graphs"].items()}
        | {"step": {"file": "step.onnx", **digest(out / "step.onnx")}}
        | {"vae_decode": {"file": "vae_decode.onnx", **digest(out / "vae_decode.onnx"), "approximates": decoder["sha256"]}},
        "training": {"from": base.name, "int8Products": products, "calibrationPrompts": 6 * PER_TAG, "calibrationSeed": SEED},
    }  # fmt: skip
    (out / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("../models/generator"))
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt", help="the model's weights")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../models/embedded-int8"))
    a = parser.parse_args()
    content = export(load_bundle(a.checkpoint, a.vae), a.model, a.out)
    sizes = ", ".join(f"{name} {content['graphs'][name]['bytes'] / 2**20:.2f} MiB" for name in ("step", "vae_decode"))
    print(f"{a.out}: {content['training']['int8Products']} products of int8; {sizes}")


if __name__ == "__main__":
    main()
