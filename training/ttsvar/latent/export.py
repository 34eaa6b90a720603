"""Model folders of the canvas families: prompt graph, step graph, nets between tokens and latents, tokenizer, manifest.

Weights are rounded to float16 and stored that way; the autoencoder is named by the hashes of its graphs, not copied.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ttsvar.infinity.export import digest
from ttsvar.infinity.flops import NOMINAL_TOKENS
from ttsvar.infinity.graphs import export_graph, pair_names
from ttsvar.infinity.model import InfinityConfig
from ttsvar.latent.model import Narrow
from ttsvar.latent.trunk import SIDE, Prompt, Trunk
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer, write

LICENSE = "MIT"
#: What recorded values are computed for.
PROMPT = "a photo of a red apple and a blue car"


class PromptGraph(nn.Module):
    """input_ids ``[1, T]`` -> sos ``[2, C]``, ca_k_i and ca_v_i ``[2, ...]``: the text, and the stand-in for none."""

    def __init__(self, trunk: Trunk):
        super().__init__()
        self.trunk = trunk

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        prompt = self.trunk.both(input_ids)
        return prompt.sos, *(t for pair in prompt.memory for t in pair)


class StepGraph(nn.Module):
    """A family's pass for one guidance group: its own inputs, then the prompt's tensors."""

    def __init__(self, run: Callable[..., Tensor], owner: nn.Module, own: int):
        super().__init__()
        self.owner, self.run, self.own = owner, run, own

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        rest = inputs[self.own :]
        memory = [(rest[i], rest[i + 1]) for i in range(1, len(rest), 2)]
        return self.run(*inputs[: self.own], Prompt(rest[0], memory, None))


class Widen(nn.Module):
    """Narrow latents to latents of the autoencoder."""

    def __init__(self, narrow: Narrow):
        super().__init__()
        self.narrow = narrow

    def forward(self, token: Tensor) -> Tensor:
        return self.narrow.decode(token)


class Call(nn.Module):
    """A method as a module."""

    def __init__(self, owner: nn.Module, method: str):
        super().__init__()
        self.owner, self.method = owner, method

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.owner, self.method)(x)


@dataclass
class Family:
    """What a family's folder holds besides the common parts."""

    name: str
    family: str
    trunk: Trunk
    #: The family's own module, and its pass: ``run(*inputs, prompt)`` for the inputs below.
    owner: nn.Module
    run: Callable[..., Tensor]
    inputs: dict[str, Tensor]
    output: str | list[str]
    dynamic: dict[str, dict[int, str]]
    #: token ``[n, c, h, w]`` -> latent
    widen: nn.Module
    channels: int
    narrow: Narrow | None = None
    extra: dict = field(default_factory=dict)
    sampling: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    #: Inputs of the pass whose FLOPs count; default: one row of ``inputs``.
    nominal: list[Tensor] | None = None
    version: str = "1.0.0"
    #: Writes the tokenizer's files into a folder, given the text encoder's configuration.
    tokenizer: Callable[[Path, dict], list[str]] = write


@torch.no_grad()
def halve(*modules: nn.Module | None) -> None:
    """Round all weights to what float16 holds."""
    for module in modules:
        for value in [*(module.parameters() if module else ()), *(module.buffers() if module else ())]:
            if value.is_floating_point():
                value.copy_(value.half().float())


def count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return int(counter.get_total_flops())


def memory_names(depth: int) -> list[str]:
    return ["sos", *pair_names("ca_", depth)]


def prompt_axes(depth: int, groups: dict[int, str] | None = None) -> dict[str, dict[int, str]]:
    axes = {f"ca_k_{i}": {3: "T"} for i in range(depth)} | {f"ca_v_{i}": {2: "T"} for i in range(depth)}
    return {"input_ids": {1: "T"}, **axes} | (groups or {})


def export_family(f: Family, out: Path, base: Path = Path("../models/generator")) -> dict:
    """Write the folder; further graphs and files of ``f.extra`` must lie there already. Returns the manifest."""
    out.mkdir(parents=True, exist_ok=True)
    f.owner.eval()
    depth = f.trunk.body.config.depth
    ids = torch.tensor([[3, 4, 5, 1]])
    export_graph(PromptGraph(f.trunk), {"input_ids": ids}, memory_names(depth), prompt_axes(depth), out / "prompt.onnx")
    with torch.no_grad():
        both = f.trunk.both(ids)
    one = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    tensors = dict(zip(memory_names(depth), [one.sos, *(t for pair in one.memory for t in pair)]))
    export_graph(
        StepGraph(f.run, f.owner, len(f.inputs)), {**f.inputs, **tensors}, [f.output] if isinstance(f.output, str) else f.output,
        {**prompt_axes(depth), **f.dynamic}, out / "step.onnx",
    )  # fmt: skip
    spatial = {0: "B", 2: "h", 3: "w"}
    token, wide = torch.randn(2, f.channels, SIDE, SIDE), torch.randn(2, 32, SIDE, SIDE)
    export_graph(f.widen, {"token": token}, ["latent"], {"token": spatial, "latent": spatial}, out / "widen.onnx")
    graphs = ["prompt", "step", "widen"]
    if f.narrow is not None:
        export_graph(Call(f.narrow, "encode"), {"latent": wide}, ["token"], {"latent": spatial, "token": spatial}, out / "narrow.onnx")
        graphs.append("narrow")
    tokenizer_files = f.tokenizer(out, f.trunk.text.config.huggingface())
    autoencoder = json.loads((base / "manifest.json").read_text())
    nominal = torch.ones(1, NOMINAL_TOKENS, dtype=torch.long)
    widen, per_cell = count(lambda: f.widen(token[:1])), autoencoder["flops"]
    pictures = {"view": "decodePerLatentCell", "draft": "draftPerLatentCell"}
    single = f.nominal or [v[:1] for v in f.inputs.values()]
    c = f.trunk.body.config
    content = {
        "schemaVersion": 1, "name": f.name, "family": f.family, "version": f.version,
        "image": {"size": SIDE * autoencoder["image"]["stride"], "stride": autoencoder["image"]["stride"]},
        "architecture": {"depth": c.depth, "width": c.width, "heads": c.heads, "textMaxLength": c.text_max_length},
        "latents": {
            "model": base.name, "channels": 32, "decoder": autoencoder["graphs"]["vae_decode"]["sha256"],
            **({"encoder": autoencoder["graphs"]["vae_encode"]["sha256"]} if f.narrow is not None else {}),
            **({"draft": autoencoder["graphs"]["vae_draft"]["sha256"]} if "vae_draft" in autoencoder["graphs"] else {}),
        },
        "tokenChannels": f.channels,
        "sampling": f.sampling,
        "graphs": {name: {"file": f"{name}.onnx", **digest(out / f"{name}.onnx")} for name in graphs},
        "flops": {
            "prompt": count(lambda: f.trunk.both(nominal)), "pass": count(lambda: f.run(*single, one)),
            **{key: widen + round(per_cell[name] * SIDE * SIDE) for key, name in pictures.items() if name in per_cell},
        },
        "tokenizer": {"files": {name: digest(out / name)["sha256"] for name in tokenizer_files}},
        **f.extra, "training": f.training, "license": LICENSE, "card": "card.md",
    }  # fmt: skip
    (out / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def share(out: Path, base: Path) -> None:
    """Name graphs by model and hash instead of keeping a copy, where another model's folder has the very same ones."""
    manifest, theirs = (json.loads((folder / "manifest.json").read_text()) for folder in (out, base))
    known = {entry["sha256"]: entry for entry in [*theirs["graphs"].values(), theirs.get("head", {})] if "sha256" in entry}

    def shared(entry: dict) -> dict:
        other = known.get(entry["sha256"])
        if other is None:
            return entry
        (out / entry["file"]).unlink()
        return {**entry, "file": other["file"], "of": other.get("of", base.name)}

    manifest["graphs"] = {name: shared(entry) for name, entry in manifest["graphs"].items()}
    if "head" in manifest:
        manifest["head"] = shared(manifest["head"])
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def write_floats(values: Tensor, path: Path) -> dict:
    """Little-endian float32; returns the manifest's entry."""
    path.write_bytes(values.float().contiguous().numpy().astype("<f4").tobytes())
    return {"file": path.name, **digest(path)}


def recording(arrays: dict[str, np.ndarray]) -> dict:
    """Arrays as JSON: shape and values, for small fixtures."""
    return {k: {"shape": list(v.shape), "values": [float(x) for x in v.ravel()]} for k, v in arrays.items()}


def tiny_trunk(depth: int = 2, vocabulary: int = len(Tokenizer())) -> Trunk:
    """Random, and as small as the shapes allow: for fixtures."""
    text = TextConfig(vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return Trunk(InfinityConfig(depth, 32, 2, 16, 32, 8, depth, 8.0), text)


@torch.no_grad()
def randomise(module: nn.Module, scale: float = 0.3) -> None:
    """Values everywhere, also where training starts from zero."""
    for parameter in module.parameters():
        if parameter.abs().max() == 0:
            parameter.normal_(0, scale)
