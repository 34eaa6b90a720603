"""Export the embedded generator: five ONNX graphs, tokenizer, sidecar weights and the manifest.

    python -m ttsvar.infinity.export --checkpoint checkpoints/generator.pt --vae checkpoints/vae.pt \
        --out ../models/generator
    python -m ttsvar.infinity.export --checkpoint checkpoints/small.pt --name small --autoencoder ../models/generator \
        --out ../zoo/small

All weights are rounded to float16 first and stored that way (computation stays float32), so PyTorch with the rounded
weights and the exported graphs agree to rounding errors of float32 arithmetic.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ttsvar.infinity import graphs
from ttsvar.infinity.flops import NOMINAL_TOKENS, flops, stage_costs
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.sample import Settings
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer, write

LICENSE = "MIT"
VERSION = "1.0.0"
GRAPHS = ("text_encoder", "condition", "step", "vae_decode", "vae_encode")
SIDECAR = ("lvl_embed", "pos_start", "word_embed.bias", "cfg_uncond")


@torch.no_grad()
def round_weights(bundle: Bundle) -> Bundle:
    """Copy whose parameters are exactly representable in float16, with the head folded to differences."""
    out = copy.copy(bundle)
    out.generator, out.vae = copy.deepcopy(bundle.generator), copy.deepcopy(bundle.vae)
    model = out.generator.model
    weight, bias = (t.clone() for t in model.folded_head())
    for parameter, folded in ((model.head.weight, weight), (model.head.bias, bias)):
        parameter.zero_()
        parameter[1::2] = folded
    for module in (out.generator, out.vae):
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
    return out


def digest(path: Path) -> dict[str, str | int]:
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def write_sidecar(state: Mapping[str, Tensor], path: Path) -> dict:
    """Host-side tensors of a transformer's state dict, little-endian float32, concatenated."""
    tensors, offset, chunks = {}, 0, []
    for name in SIDECAR:
        key = name if name in state else f"{name}.weight"
        values = state[key].float().contiguous().numpy().astype("<f4")
        tensors[name] = {"dtype": "float32", "shape": list(values.shape), "offset": offset}
        chunks.append(values.tobytes())
        offset += values.nbytes
    path.write_bytes(b"".join(chunks))
    return {"file": path.name, **digest(path), "tensors": tensors}


def schedule_entry(bundle: Bundle) -> dict:
    schedule = bundle.schedule
    positions = [schedule.axis(i) for i in range(len(schedule.scales))]
    return {
        "id": "1:1", "ratio": 1.0, "scales": [list(s) for s in schedule.scales],
        "rope": {"y": [y for y, _ in positions], "x": [x for _, x in positions]},
        "stageFlops": stage_costs(bundle.generator.model.config, schedule, NOMINAL_TOKENS),
    }  # fmt: skip


def graph_entries(folder: Path, names: Sequence[str], autoencoder: Path | None) -> dict:
    """Graphs in a manifest; those of an ``autoencoder`` folder (its draft decoder too) are named there instead of copied."""
    own = {name: {"file": f"{name}.onnx", **digest(folder / f"{name}.onnx")} for name in names if (folder / f"{name}.onnx").exists()}
    if autoencoder is None:
        return own
    shared = json.loads((autoencoder / "manifest.json").read_text(encoding="utf-8"))["graphs"]
    return own | {name: {**entry, "of": autoencoder.name} for name, entry in shared.items() if name.startswith("vae_")}


def draft_flops(autoencoder: Path | None) -> dict:
    """FLOPs of a shared draft decoder, if there is one."""
    if autoencoder is None:
        return {}
    shared = json.loads((autoencoder / "manifest.json").read_text(encoding="utf-8"))["flops"]
    return {key: shared[key] for key in ("draftPerLatentCell",) if key in shared}


def manifest(
    bundle: Bundle, folder: Path, sampling: Settings, sidecar: dict, tokenizer_files: list[str], name: str,
    autoencoder: Path | None = None,
) -> dict:
    """Content of ``manifest.json``."""
    c, vae = bundle.generator.model.config, bundle.vae.config
    return {
        "schemaVersion": 1, "name": name, "family": "infinity", "version": VERSION,
        "image": {
            "size": bundle.quantizer.grids[-1][0] * vae.stride, "channels": 3, "stride": vae.stride,
        },
        "architecture": {
            "depth": c.depth, "embedDim": c.width, "heads": c.heads, "ffnHidden": c.hidden,
            "textChannels": c.text_channels, "textMaxLength": c.text_max_length, "codeChannels": vae.channels,
            "tokenChannels": c.token_channels, "patchify": bundle.schedule.patchify,
        },
        "schedules": [schedule_entry(bundle)],
        "codeMagnitude": [[float(x) for x in row] for row in bundle.quantizer.magnitude.numpy().astype(np.float32)],
        "sampling": {
            "guidance": list(sampling.guidance), "temperature": [round(t, 4) for t in sampling.temperature],
            "topP": sampling.top_p,
        },
        "graphs": graph_entries(folder, GRAPHS, autoencoder),
        "sidecar": sidecar,
        "flops": flops(bundle) | draft_flops(autoencoder),
        "tokenizer": {"files": {name: digest(folder / name)["sha256"] for name in tokenizer_files}},
        "training": {k: bundle.info[k] for k in ("step", "images", "minutes", "validation") if k in bundle.info},
        "license": LICENSE, "card": "card.md",
    }  # fmt: skip


def export(
    bundle: Bundle, folder: Path, sampling: Settings, name: str = "generator", autoencoder: Path | None = None
) -> dict:
    """Write everything for ``bundle`` to ``folder``; returns the manifest.

    autoencoder: known model whose VAE graphs serve this one too, because it shares its tokenizer to the byte.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bundle = round_weights(bundle)
    generator = bundle.generator
    graphs.export_text(generator.text, folder / "text_encoder.onnx")
    graphs.export_condition(generator.model, folder / "condition.onnx")
    graphs.export_step(generator.model, folder / "step.onnx")
    if autoencoder is None:
        graphs.export_vae(bundle.vae, folder / "vae_decode.onnx", folder / "vae_encode.onnx")
    sidecar = write_sidecar(generator.model.state_dict(), folder / "weights.bin")
    text: TextConfig = generator.text.config
    if text.vocab_size != len(Tokenizer()):
        raise ValueError("the checkpoint was trained with another vocabulary")
    tokenizer_files = write(folder, text.huggingface())
    content = manifest(bundle, folder, sampling, sidecar, tokenizer_files, name, autoencoder)
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../models/generator"))
    parser.add_argument("--name", default="generator")
    parser.add_argument("--autoencoder", type=Path, help="model folder whose VAE serves this model too (../models/generator)")
    a = parser.parse_args()
    bundle = load_bundle(a.checkpoint, a.vae)
    content = export(bundle, a.out, Settings.embedded(), a.name, a.autoencoder)
    for name, entry in content["graphs"].items():
        print(f"{name:14s} {entry['bytes'] / 2**20:6.2f} MiB")


if __name__ == "__main__":
    main()
