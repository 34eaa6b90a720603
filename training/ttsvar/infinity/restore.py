"""Turn the exported embedded generator back into training checkpoints.

    python -m ttsvar.infinity.restore --model ../models/generator     # writes checkpoints/generator.pt, vae.pt

Tracing renames, transposes and joins parameters. Instead of undoing that by name, a template whose parameters hold
their own positions is exported the same way: every number in its graphs then says where it came from, and the number
at the same place of the shipped graph is that parameter's value.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from ttsvar.common.training import save_checkpoint
from ttsvar.infinity import graphs
from ttsvar.infinity.export import SIDECAR
from ttsvar.infinity.fused import FusedStep
from ttsvar.infinity.generator import Generator
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.train_vae import larger_decoder
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer

FIRST = 10_000  # positions start above every constant that the graphs contain


def initializers(path: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(str(path)).graph
    return {t.name.removesuffix(".half"): numpy_helper.to_array(t) for t in graph.initializer}


def shapes(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a graph's weights, in order."""
    return [(name, values.shape) for name, values in initializers(path).items()]


@torch.no_grad()
def number_parameters(module: nn.Module) -> dict[str, int]:
    """Fill every parameter with consecutive integers; returns the first one of each."""
    starts, position = {}, FIRST
    for name, parameter in module.named_parameters():
        count = parameter.numel()
        parameter.copy_(torch.arange(position, position + count, dtype=torch.float32).view_as(parameter))
        starts[name], position = position, position + count
    if position >= 2**24:
        raise ValueError("too many parameters to number them exactly in float32")
    return starts


def recover(module: nn.Module, exported: dict[str, Path], template: dict[str, Path]) -> set[str]:
    """Set ``module``'s parameters from the graphs ``exported``; returns the names that no graph contains."""
    starts = number_parameters(module)
    total = FIRST + sum(p.numel() for p in module.parameters())
    values, seen = np.zeros(total, np.float32), np.zeros(total, bool)
    for graph, path in template.items():
        shipped, numbered = initializers(exported[graph]), initializers(path)
        if shapes(exported[graph]) != shapes(path):
            raise ValueError(f"{exported[graph].name} was exported from another architecture or torch version")
        for name, positions in numbered.items():
            flat = positions.astype(np.float64).ravel()
            ours = (flat >= FIRST) & (flat < total)
            index = flat[ours].astype(np.int64)
            values[index] = shipped[name].astype(np.float32).ravel()[ours]
            seen[index] = True
    missing = set()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            part = slice(starts[name], starts[name] + parameter.numel())
            if not seen[part].all():
                missing.add(name)
            parameter.copy_(torch.from_numpy(values[part].copy()).view_as(parameter))
    return missing


def restore_generator(folder: Path, manifest: dict) -> Generator:
    a = manifest["architecture"]
    config = InfinityConfig(
        a["depth"], a["embedDim"], a["heads"], a["textChannels"], a["textMaxLength"], a["tokenChannels"]
    )
    generator = Generator(config, TextConfig(vocab_size=len(Tokenizer()), d_model=config.text_channels)).eval()
    missing = None
    for kind in (FusedStep, graphs.StepGraph):
        number_parameters(generator)
        with tempfile.TemporaryDirectory() as temporary:
            names = ("text_encoder", "condition", "step")
            paths = {name: Path(temporary) / f"{name}.onnx" for name in names}
            # The step first: it tells at once whether this is its form.
            graphs.export_step(generator.model, paths["step"], kind)
            if shapes(paths["step"]) != shapes(folder / "step.onnx"):
                continue
            graphs.export_text(generator.text, paths["text_encoder"])
            graphs.export_condition(generator.model, paths["condition"])
            missing = recover(generator, {name: folder / f"{name}.onnx" for name in names}, paths)
            break
    if missing is None:
        raise ValueError(f"{folder / 'step.onnx'} was exported from another architecture or torch version")
    state = generator.model.state_dict()
    sidecar = (folder / manifest["sidecar"]["file"]).read_bytes()
    for name in SIDECAR:
        entry = manifest["sidecar"]["tensors"][name]
        count = int(np.prod(entry["shape"]))
        key = name if name in state else f"{name}.weight"
        stored = np.frombuffer(sidecar, "<f4", count, entry["offset"]).reshape(entry["shape"])
        state[key].copy_(torch.from_numpy(stored.copy()))
        missing.discard(f"model.{key}")
    if missing:
        raise ValueError(f"not found in the exported graphs: {sorted(missing)}")
    return generator


def restore_vae(folder: Path) -> Vae:
    for config in (larger_decoder(VaeConfig()), VaeConfig()):
        vae = Vae(config).eval()
        number_parameters(vae)
        with tempfile.TemporaryDirectory() as temporary:
            paths = {name: Path(temporary) / f"{name}.onnx" for name in ("vae_decode", "vae_encode")}
            graphs.export_vae(vae, *paths.values())
            try:
                missing = recover(vae, {name: folder / f"{name}.onnx" for name in paths}, paths)
            except ValueError:
                continue
        if missing:
            raise ValueError(f"not found in the exported graphs: {sorted(missing)}")
        return vae
    raise ValueError("the exported VAE has an unknown architecture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("../models/generator"))
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    arguments = parser.parse_args()
    manifest = json.loads((arguments.model / "manifest.json").read_text())
    generator, vae = restore_generator(arguments.model, manifest), restore_vae(arguments.model)
    sides = [h for h, _ in manifest["schedules"][0]["scales"]]
    save_checkpoint(arguments.out / "generator.pt", {
        "config": generator.model.config.asdict(), "text_config": vars(generator.text.config),
        "state": generator.state_dict(), "sides": sides, **manifest["training"],
    })  # fmt: skip
    save_checkpoint(arguments.out / "vae.pt", {
        "config": vae.config.asdict(), "sides": sides, "state": vae.state_dict(),
        "magnitude": torch.tensor(manifest["codeMagnitude"]),
    })  # fmt: skip
    print(f"wrote {arguments.out}/generator.pt and {arguments.out}/vae.pt")


if __name__ == "__main__":
    main()
