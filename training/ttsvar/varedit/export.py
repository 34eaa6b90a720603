"""Exports the embedded editor: Infinity's five graphs, with the source picture in the past of every scale.

    python -m ttsvar.varedit.export --out ../zoo/varedit
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity import graphs
from ttsvar.infinity.export import manifest, round_weights, write_sidecar
from ttsvar.infinity.flops import NOMINAL_TOKENS, row_flops
from ttsvar.infinity.generator import Bundle
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.sample import Settings
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.train_vae import load_vae
from ttsvar.text.encoder import TextConfig
from ttsvar.varedit.train import Editor
from ttsvar.varedit.words import write


def load_editor(path: Path | str, vae: Path | str) -> Bundle:
    """Averaged weights of an editor's checkpoint together with the VAE it was trained on."""
    checkpoint = load_checkpoint(path)
    module = Editor(InfinityConfig(**checkpoint["config"]), TextConfig(**checkpoint["text_config"]))
    module.load_state_dict(checkpoint["state"])
    info = {k: v for k, v in checkpoint.items() if k != "state"}
    return Bundle(module.eval().requires_grad_(False), *load_vae(vae), Schedule.square(checkpoint["sides"]), info)


def stage_costs(config: InfinityConfig, schedule: Schedule, source: int) -> list[dict[str, int]]:
    """FLOPs by stage; every token also attends to the source."""
    costs, past = [], source
    for tokens in schedule.lengths:
        flops = row_flops(config, tokens, past, NOMINAL_TOKENS)
        costs.append({"guided": 2 * flops, "unguided": flops})
        past += tokens
    return costs


def export(bundle: Bundle, folder: Path, sampling: Settings, autoencoder: Path | None = None) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    bundle = round_weights(bundle)
    model, config = bundle.generator.model, bundle.generator.model.config
    graphs.export_text(bundle.generator.text, folder / "text_encoder.onnx")
    graphs.export_condition(model, folder / "condition.onnx")
    # The first layer's past is shorter: it sees the source averaged to the scale's grid.
    axes = graphs.axes(model) | {name: {0: "R", 2: "P0"} for name in ("past_k_0", "past_v_0")}
    outputs = ["delta", *graphs.pair_names("new_", config.depth)]
    graphs.export_graph(graphs.StepGraph(model), graphs.example(model), outputs, axes, folder / "step.onnx")
    if autoencoder is None:
        graphs.export_vae(bundle.vae, folder / "vae_decode.onnx", folder / "vae_encode.onnx")
    files = write(folder, bundle.generator.text.config.huggingface())
    sidecar = write_sidecar(model.state_dict(), folder / "weights.bin")
    content = manifest(bundle, folder, sampling, sidecar, files, "varedit", autoencoder)
    source = bundle.schedule.lengths[-1]
    content["family"] = "varedit"
    content["schedules"][0]["stageFlops"] = stage_costs(config, bundle.schedule, source)
    content["flops"]["condition"] += 2 * row_flops(config, source, 0, NOMINAL_TOKENS)
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/varedit.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../zoo/varedit"))
    parser.add_argument("--autoencoder", type=Path, default=Path("../models/generator"))
    a = parser.parse_args()
    torch.manual_seed(0)
    print(export(load_editor(a.checkpoint, a.vae), a.out, Settings.embedded(), a.autoencoder)["training"])


if __name__ == "__main__":
    main()
