"""Writes a VAR as a model folder: four ONNX graphs, small weights, the manifest.

Graphs are traced without values and get their weights one at a time, as Infinity's are. The folder appears under its name
only when every graph has agreed with PyTorch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ttsvar.infinity.export import digest
from ttsvar.infinity.graphs import pair_names
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.hollow import trace
from ttsvar.infinity.official.placement import Storage, place
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.graphs import example, traced
from ttsvar.var.model import Var, VarConfig
from ttsvar.var.quantiser import phi_table

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sampling:
    """Defaults of the folder; ``guidance`` is VAR's cfg, reached at the last scale."""

    guidance: float = 1.5
    top_k: int = 900
    top_p: float = 0.96
    temperature: float = 1.0


@dataclass(frozen=True)
class Source:
    """A model to export: shapes and values."""

    name: str
    config: VarConfig
    state: State
    vae: Callable[[], VqVae]
    vae_state: State
    labels: tuple[str, ...] = ()
    sampling: Sampling = Sampling()


def sidecar(source: Source, path: Path) -> dict:
    """Host-side tensors, little-endian float32, concatenated."""
    state, vae = source.state, source.vae_state
    level = torch.cat([torch.full((n,), i) for i, n in enumerate(source.config.lengths)])
    shared = sorted({key.split(".")[3] for key in vae if key.startswith("quantize.quant_resi.")}, key=int)
    values = {
        "positions": state["lvl_embed.weight"].float()[level] + state["pos_1LC"].float()[0],
        "pos_start": state["pos_start"][0, 0],
        "word_embed.bias": state["word_embed.bias"],
        "codebook": vae["quantize.embedding.weight"],
        "phi.weight": torch.stack([vae[f"quantize.quant_resi.qresi_ls.{i}.weight"] for i in shared]),
        "phi.bias": torch.stack([vae[f"quantize.quant_resi.qresi_ls.{i}.bias"] for i in shared]),
    }
    tensors, offset, chunks = {}, 0, []
    for name, value in values.items():
        data = value.detach().float().contiguous().numpy().astype("<f4")
        tensors[name] = {"dtype": "float32", "shape": list(data.shape), "offset": offset}
        chunks.append(data.tobytes())
        offset += data.nbytes
    path.write_bytes(b"".join(chunks))
    return {"file": path.name, **digest(path), "tensors": tensors}


def _count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return int(counter.get_total_flops())


def flops(source: Source) -> dict[str, int]:
    side = source.config.sides[-1]
    with torch.device("meta"):
        model, vae = Var(source.config), source.vae()
        latent = torch.zeros(1, source.config.channels, side, side)
        labels = torch.zeros(2, dtype=torch.long)
    decode = _count(lambda: vae.decode(latent))
    return {"condition": _count(lambda: model.condition(labels)), "decodePerLatentCell": round(decode / side**2)}


@torch.no_grad()
def verify(source: Source, folder: Path, storage: Storage) -> dict:
    """Every graph against PyTorch with the stored weights: largest absolute differences."""
    model, vae = Var(source.config).eval(), source.vae().eval()
    model.load_state_dict({k: storage.rounded(f"model.{k}", v.float()) for k, v in source.state.items()})
    vae.load_state_dict({k: storage.rounded(f"vae.{k}", v.float()) for k, v in source.vae_state.items()})
    torch.manual_seed(0)

    def run(name: str, feeds: dict[str, Tensor], outputs: list[str]) -> list[np.ndarray]:
        session = ort.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        return session.run(outputs, {k: v.numpy() for k, v in feeds.items()})

    def worst(ours: list[np.ndarray], theirs: list[Tensor]) -> float:
        return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(ours, theirs))

    labels = torch.tensor([0, source.config.classes])
    condition = model.condition(labels)
    feeds = example(model, length=source.config.lengths[2]) | {"gss": condition.gss, "head_ss": condition.head_ss}
    past = [(feeds[f"past_k_{i}"], feeds[f"past_v_{i}"]) for i in range(source.config.depth)]
    logits, new = model.step(feeds["z"], feeds["x_add"], condition, past)
    latent = torch.randn(1, source.config.channels, 4, 4)
    image = torch.rand(1, 3, 4 * vae.stride, 4 * vae.stride) * 2 - 1
    expected = [logits, *(t for pair in new for t in pair)]
    differences = {
        "condition": worst(run("condition", {"labels": labels}, ["sos", "gss", "head_ss"]), [condition.sos, condition.gss, condition.head_ss]),
        "step": worst(run("step", feeds, ["logits", *pair_names("new_", source.config.depth)]), expected),
        "vae_decode": worst(run("vae_decode", {"latent": latent}, ["image"]), [vae.decode(latent)]),
        "vae_encode": worst(run("vae_encode", {"image": image}, ["features"]), [vae.encode(image)]),
    }  # fmt: skip
    scale = {"step": logits.std().item(), "condition": condition.gss.std().item()}
    for name, value in differences.items():
        if not value < 1e-3 * max(1.0, scale.get(name, 1.0)):
            raise ExportError(f"{name}: the graph differs from PyTorch by {value:.2e}")
    return {name: float(f"{value:.2e}") for name, value in differences.items()}


def export(source: Source, out: Path, storage: Storage, extra: dict | None = None) -> dict:
    """Write the folder ``out``, which must not exist; returns the manifest."""
    if out.exists():
        raise ExportError(f"{out} exists; choose another --out, or remove it")
    folder = out.with_name(f"{out.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    graphs, data = {}, {}
    for name, (module, inputs, outputs, dynamic) in traced(source.config, source.vae).items():
        shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        states = {"model": source.state, "vae": source.vae_state}
        written = place(
            trace(module, inputs, outputs, dynamic),
            lambda key: states[key.split(".", 1)[0]][key.split(".", 1)[1]].float(),
            shapes, storage, folder / f"{name}.onnx",
        )  # fmt: skip
        graphs[name] = {"file": written.file, "sha256": written.sha256, "bytes": written.bytes}
        if written.data:
            data[written.data.file] = {"sha256": written.data.sha256, "bytes": written.data.bytes}
    c, s = source.config, source.sampling
    with torch.device("meta"):
        stride = source.vae().stride
    manifest = {
        "schemaVersion": 1, "name": source.name, "family": "var", "version": "1.0.0", "image": {"stride": stride},
        "architecture": {
            "depth": c.depth, "embedDim": c.width, "heads": c.heads, "codeChannels": c.channels,
            "vocabulary": c.vocabulary, "classes": c.classes,
        },
        "sides": list(c.sides), "phi": list(phi_table(len(c.sides))),
        **({"labels": list(source.labels)} if source.labels else {}),
        "sampling": {"guidance": s.guidance, "temperature": s.temperature, "topK": min(s.top_k, c.vocabulary), "topP": s.top_p},
        "graphs": graphs, **({"externalData": {"files": data}} if data else {}),
        "dtype": f"fp{storage.bits}", "sidecar": sidecar(source, folder / "weights.bin"), "flops": flops(source),
        "verification": verify(source, folder, storage), **(extra or {}),
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(folder, out)
    return manifest


