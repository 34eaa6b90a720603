"""Export HMAR as a model folder: five ONNX graphs like the embedded generator's, the step without a past, and ``mask``.

    python -m ttsvar.hmar.export --checkpoint checkpoints/hmar.pt --out ../zoo/hmar
    python -m ttsvar.hmar.export --tiny --out ../test/fixtures/models/hmar-tiny     # random weights, for tests

Decoder and encoder are those of the generator that it was fine-tuned from, named and not copied.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.shared_weights import share_weights
from ttsvar.common.training import load_checkpoint
from ttsvar.hmar.masked import MaskedPart
from ttsvar.infinity import graphs
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.export import digest, draft_flops, graph_entries, round_weights, schedule_entry, write_sidecar
from ttsvar.infinity.flops import NOMINAL_TOKENS, flops, row_flops
from ttsvar.infinity.generator import Bundle, Generator, load_bundle
from ttsvar.infinity.model import Condition, Infinity, InfinityConfig
from ttsvar.infinity.sample import Settings
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer, write

GRAPHS = ("text_encoder", "condition", "step", "mask", "vae_decode", "vae_encode")
# Weights of the next-scale and the masked path, which share most blocks.
SHARED = "blocks.bin"
# Tokens that are settled in each pass, by scale: the paper's, as far as the scales are the same.
PASSES = {1: [1], 2: [1, 3], 3: [1, 1, 2, 5]}


class ConditionGraph(nn.Module):
    """As of the generator, and the masked path's modulation and keys and values of the text."""

    def __init__(self, model: Infinity, part: MaskedPart):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, text_states: Tensor, text_bias: Tensor) -> tuple[Tensor, ...]:
        sos, gss, head_ss, memory_input = self.model.front(text_states, text_bias)
        memory = [block.ca.memory(memory_input) for block in [*self.model.blocks, *self.part.blocks]]
        return sos, gss, head_ss, self.part.modulation(sos), *(t for pair in memory for t in pair)


class StepGraph(nn.Module):
    """One scale for all guidance groups, which sees itself only."""

    def __init__(self, model: Infinity):
        super().__init__()
        self.model = model

    def forward(self, z, x_add, rope_cos, rope_sin, gss, head_ss, text_bias, *rest):  # noqa: ANN001, ANN002, ANN201
        memory = [(rest[2 * i], rest[2 * i + 1]) for i in range(self.model.config.depth)]
        condition = Condition(gss, gss, head_ss, memory, text_bias)
        return self.model.step(z, x_add, (rope_cos, rope_sin), condition, None)[0]


class MaskGraph(nn.Module):
    """One masked pass: ``values [B, L, dv]`` are the tokens' own codes, ``masked [B, L, 1]`` 1 where they do not count."""

    def __init__(self, model: Infinity, part: MaskedPart):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, z, values, masked, x_add, rope_cos, rope_sin, gss, head_ss, text_bias, *rest):  # noqa: ANN001, ANN002, ANN201
        blocks = [*self.model.blocks[: -self.part.depth], *self.part.blocks]
        x = self.model.word_embed(z) + self.part.embed(self.model, values, masked) + x_add[:, None]
        for i, block in enumerate(blocks):
            x, _ = block(x, gss, (rest[2 * i], rest[2 * i + 1]), text_bias, rope_cos, rope_sin)
        return self.part.output(x, head_ss)


def memory_inputs(model: Infinity, prefix: str, count: int, groups: int, text: int) -> dict[str, Tensor]:
    c = model.config
    out = {}
    for i in range(count):
        out[f"{prefix}k_{i}"] = torch.randn(groups, c.heads, c.head_dim, text)
        out[f"{prefix}v_{i}"] = torch.randn(groups, c.heads, text, c.head_dim)
    return out


def axes(model: Infinity, part: MaskedPart) -> dict[str, dict[int, str]]:
    named = graphs.axes(model)
    named |= {"values": {0: "B", 1: "L"}, "masked": {0: "B", 1: "L"}, "mask_head_ss": {0: "G"}}
    for i in range(part.depth):
        named |= {f"mask_ca_k_{i}": {0: "G", 3: "T"}, f"mask_ca_v_{i}": {0: "G", 2: "T"}}
    return named


def export_graphs(model: Infinity, part: MaskedPart, folder: Path) -> None:
    c, dynamic = model.config, axes(model, part)
    text = {"text_states": torch.randn(2, 6, c.text_channels), "text_bias": torch.zeros(2, 1, 1, 6)}
    memory = [*graphs.pair_names("ca_", c.depth), *graphs.pair_names("mask_ca_", part.depth)]
    outputs = ["sos", "gss", "head_ss", "mask_head_ss", *memory]
    graphs.export_graph(ConditionGraph(model, part), text, outputs, dynamic, folder / "condition.onnx")
    step = {k: v for k, v in graphs.example(model).items() if not k.startswith("past_")}
    graphs.export_graph(StepGraph(model), step, ["delta"], dynamic, folder / "step.onnx")
    shared = c.depth - part.depth
    fixed = {name: step[name] for name in ("x_add", "rope_cos", "rope_sin", "gss")}
    mask = {
        "z": step["z"], "values": torch.randn_like(step["z"]), "masked": (torch.rand(*step["z"].shape[:2], 1) < 0.5).float(),
        **fixed, "mask_head_ss": step["head_ss"], "text_bias": step["text_bias"],
        **memory_inputs(model, "ca_", shared, 2, 6), **memory_inputs(model, "mask_ca_", part.depth, 2, 6),
    }  # fmt: skip
    graphs.export_graph(MaskGraph(model, part), mask, ["delta"], dynamic, folder / "mask.onnx")


def passes(schedule: Schedule) -> list[list[int]]:
    return [PASSES.get(h, [h * w]) if h == w else [h * w] for h, w in schedule.scales]


@torch.no_grad()
def export(bundle: Bundle, part: MaskedPart, folder: Path, name: str, sampling: Settings, autoencoder: Path | None) -> dict:
    """Write everything to ``folder``; returns the manifest. Without ``autoencoder``, a known model's folder, the bundle's VAE is exported."""
    folder.mkdir(parents=True, exist_ok=True)
    bundle = round_weights(bundle)
    model, text = bundle.generator.model, bundle.generator.text
    weight, bias = (t.clone() for t in part.folded_head())
    for parameter, folded in ((part.head.weight, weight), (part.head.bias, bias)):
        parameter.zero_()
        parameter[1::2] = folded
    for parameter in part.parameters():
        parameter.copy_(parameter.half().float())
    graphs.export_text(text, folder / "text_encoder.onnx")
    export_graphs(model, part, folder)
    share_weights([folder / "step.onnx", folder / "mask.onnx"], SHARED)
    if autoencoder is None:
        graphs.export_vae(bundle.vae, folder / "vae_decode.onnx", folder / "vae_encode.onnx")
    sidecar = write_sidecar(model.state_dict(), folder / "weights.bin")
    tokenizer_files = write(folder, text.config.huggingface())
    c, lengths = model.config, bundle.schedule.lengths
    once = [row_flops(c, tokens, 0, NOMINAL_TOKENS) for tokens in lengths]
    entry = schedule_entry(bundle) | {
        "stageFlops": [{"guided": 2 * f, "unguided": f} for f in once],
        # One more embedding of every token.
        "maskFlops": [f + 2 * tokens * c.width * c.token_channels for f, tokens in zip(once, lengths)],
        "passes": passes(bundle.schedule),
    }
    content = {
        "schemaVersion": 1, "name": name, "family": "hmar", "version": "1.0.0",
        "image": {"size": bundle.quantizer.grids[-1][0] * bundle.vae.config.stride, "channels": 3, "stride": bundle.vae.config.stride},
        "architecture": {
            "depth": c.depth, "embedDim": c.width, "heads": c.heads, "ffnHidden": c.hidden,
            "textChannels": c.text_channels, "textMaxLength": c.text_max_length, "codeChannels": bundle.vae.config.channels,
            "tokenChannels": c.token_channels, "patchify": False, "maskDepth": part.depth,
        },
        "schedules": [entry],
        "codeMagnitude": bundle.quantizer.magnitude.tolist(),
        "sampling": {
            "guidance": list(sampling.guidance), "temperature": [round(t, 4) for t in sampling.temperature],
            "topP": sampling.top_p,
        },
        "graphs": graph_entries(folder, GRAPHS, autoencoder),
        "externalData": {"files": {SHARED: digest(folder / SHARED)}},
        "sidecar": sidecar, "flops": flops(bundle) | draft_flops(autoencoder),
        "tokenizer": {"files": {file: digest(folder / file)["sha256"] for file in tokenizer_files}},
        "training": {k: bundle.info[k] for k in ("step", "images", "minutes", "validation", "masked") if k in bundle.info},
        "license": "MIT", "card": "card.md",
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def tiny() -> tuple[Bundle, MaskedPart, Settings]:
    """Random weights at 16 px: everything runs, nothing is recognisable."""
    torch.manual_seed(7)
    sides = [1, 2, 3, 4]
    config = InfinityConfig(3, 32, 2, 32, 32, 8, 3, mlp_ratio=8.0)
    text = TextConfig(vocab_size=len(Tokenizer()), d_model=32, d_kv=8, d_ff=32, num_layers=1)
    generator = Generator(config, text).eval()
    nn.init.normal_(generator.model.head.weight, std=0.5)
    for block in generator.model.blocks:
        for projection in (block.sa.proj, block.ca.proj, block.ffn.fc2):
            nn.init.normal_(projection.weight, std=0.2)
    vae = Vae(VaeConfig(8, 8, (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1, 1, 4)).eval()
    schedule = Schedule.square(sides)
    quantizer = BitQuantizer(8, schedule.vae_grids)
    part = MaskedPart(generator.model, 1)
    nn.init.normal_(part.mask_embed)
    settings = Settings([1.5] * len(sides), [1.0] * len(sides))
    return Bundle(generator, vae, quantizer, schedule, {}), part, settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/hmar.pt"))
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--autoencoder", type=Path, default=Path("../models/generator"))
    parser.add_argument("--tiny", action="store_true", help="random weights instead of a checkpoint")
    parser.add_argument("--out", type=Path, default=Path("../zoo/hmar"))
    a = parser.parse_args()
    if a.tiny:
        bundle, part, settings = tiny()
        content = export(bundle, part, a.out, "hmar-tiny", settings, None)
    else:
        saved = load_checkpoint(a.checkpoint)
        init = a.checkpoint.with_suffix(".next-scale.pt")
        torch.save(saved["next_scale"], init)
        bundle = load_bundle(init, a.vae)
        init.unlink()
        bundle.info["masked"] = saved["trained"]
        part = MaskedPart(bundle.generator.model, saved["depth"])
        part.load_state_dict(saved["state"])
        content = export(bundle, part, a.out, "hmar", Settings.embedded(), a.autoencoder)
    for name, entry in content["graphs"].items():
        print(f"{name:14s} {entry['bytes'] / 2**10:8.0f} KiB")


if __name__ == "__main__":
    main()
