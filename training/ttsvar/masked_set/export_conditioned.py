"""Export the editor or the cascade, or tiny random ones with recorded values for the tests.

    python -m ttsvar.masked_set.export_conditioned unipic --out ../zoo/unipic
    python -m ttsvar.masked_set.export_conditioned cascade --out ../zoo/cascade
    python -m ttsvar.masked_set.export_conditioned unipic --tiny ../test/fixtures/models/canvas-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.infinity.export import digest
from ttsvar.infinity.flops import NOMINAL_TOKENS
from ttsvar.infinity.model import InfinityConfig
from ttsvar.latent.export import Family, Widen, count, export_family, halve, randomise, recording
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.latent.trunk import TOKENS, Prompt, Trunk
from ttsvar.masked_set.conditioned import COARSE, Cascade, Conditioned, Editor, load
from ttsvar.masked_set.export import export_diffusion
from ttsvar.masked_set.train_edit import GENERIC
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.varedit import words
from ttsvar.varedit.words import EditTokenizer

KINDS = {"unipic": Editor, "cascade": Cascade}
COARSE_TOKENS = COARSE * COARSE
SAMPLING = {
    "unipic": {
        "stages": 8, "headSteps": 25, "guidance": 3.0, "guidanceSchedule": "constant", "temperature": 1.0,
        "negativePrompt": GENERIC,
    },
    "cascade": {
        "stages": 8, "headSteps": 25, "guidance": 3.0, "guidanceSchedule": "linear", "temperature": 0.9,
        "coarseStages": 4, "augment": 0.5,
    },
}  # fmt: skip


def editor_pass(model: Editor) -> dict:
    def run(tokens: Tensor, known: Tensor, source: Tensor, prompt: Prompt) -> Tensor:
        rows = tokens.shape[0]
        return model(tokens[None], known[None], prompt, source[None].expand(1, rows, -1, -1))[0]

    d = model.channels
    inputs = {"tokens": torch.randn(2, 64, d), "known": (torch.rand(2, 64) < 0.5).float(), "source": torch.randn(1, 64, d)}
    return {"run": run, "inputs": inputs, "dynamic": {"tokens": {0: "B"}, "known": {0: "B"}, "vectors": {0: "B"}}}


def cascade_pass(model: Cascade) -> dict:
    def run(tokens: Tensor, known: Tensor, at: Tensor, coarse: Tensor, time: Tensor, seen: Tensor, prompt: Prompt) -> Tensor:
        return model.either(tokens[None], known[None], at, coarse[None], time, seen, prompt)[0]

    d, fine = model.channels, torch.arange(COARSE_TOKENS, COARSE_TOKENS + TOKENS)
    inputs = {
        "tokens": torch.randn(2, 64, d), "known": (torch.rand(2, 64) < 0.5).float(), "at": fine,
        "coarse": torch.randn(2, COARSE_TOKENS, d), "time": torch.tensor([0.5]), "seen": torch.tensor([1.0]),
    }  # fmt: skip
    rows = {0: "B", 1: "N"}
    dynamic = {"tokens": rows, "known": rows, "at": {0: "N"}, "coarse": {0: "B"}, "vectors": rows}
    nominal = [t[:1] if name in ("tokens", "known", "coarse") else t for name, t in inputs.items()]
    return {"run": run, "inputs": inputs, "dynamic": dynamic, "nominal": nominal}


@torch.no_grad()
def coarse_flops(model: Cascade, passed: dict) -> int:
    """One pass over the coarse canvas, as exported."""
    both = model.trunk.both(torch.ones(1, NOMINAL_TOKENS, dtype=torch.long))
    prompt = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    tokens, known, _, *rest = passed["nominal"]
    at = torch.arange(COARSE_TOKENS)
    return count(lambda: passed["run"](tokens[:, at], known[:, at], at, *rest, prompt))


def family(
    kind: str, model: Conditioned, narrow: Narrow, sampling: dict, out: Path, **more  # noqa: ANN003
) -> Family:
    out.mkdir(parents=True, exist_ok=True)
    halve(model, narrow)
    model.eval()
    path, d = out / "head.onnx", model.channels
    extra = {"head": {**export_diffusion(model, model.trunk.width, d, path), "file": path.name, **digest(path)}}
    if kind == "unipic":
        extra["reads"] = "source"
        passed = editor_pass(model)
    else:
        passed = cascade_pass(model)
        extra["coarse"] = {
            "side": COARSE, "spread": [round(x, 6) for x in model.spread.tolist()], "flops": coarse_flops(model, passed),
        }  # fmt: skip
    return Family(
        family="masked-cascade" if kind == "cascade" else "masked-set", trunk=model.trunk, owner=model, output="vectors",
        widen=Widen(narrow), channels=d, narrow=narrow, extra=extra, sampling=sampling, **passed, **more,
    )  # fmt: skip


@torch.no_grad()
def golden(kind: str, model: Conditioned) -> dict:
    """Vectors of the first positions, as PyTorch computes them."""
    torch.manual_seed(5)
    text = "make the apple red" if kind == "unipic" else "a photo of a red apple and a blue car"
    ids = (EditTokenizer() if kind == "unipic" else Tokenizer()).encode(text)
    both = model.trunk.both(torch.tensor([ids]))
    prompt = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    tokens, known = torch.randn(1, 64, model.channels), (torch.rand(1, 64) < 0.4).float()
    tokens = tokens * known[..., None]
    if kind == "unipic":
        source = torch.randn(1, 64, model.channels)
        vectors = model(tokens[None], known[None], prompt, source[None])[0, 0, :8]
        arrays = {"tokens": tokens, "known": known, "source": source, "vectors": vectors}
    else:
        coarse, first = torch.randn(1, COARSE_TOKENS, model.channels), (torch.rand(1, COARSE_TOKENS) < 0.4).float()
        fine = model(tokens[None], known[None], prompt, coarse[None], torch.tensor([0.5]))[0, 0, :8]
        start = model.coarse((coarse * first[..., None])[None], first[None], prompt)[0, 0, :8]
        arrays = {"tokens": tokens, "known": known, "coarse": coarse, "first": first, "fine": fine, "start": start}
    return {"prompt": text, "ids": ids, **recording({k: v.numpy() for k, v in arrays.items()})}


def write_words(out: Path, model: Conditioned) -> None:
    """The editor's longer vocabulary in place of the plain one."""
    words.write(out, model.trunk.text.config.huggingface())
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["tokenizer"]["files"] = {name: digest(out / name)["sha256"] for name in manifest["tokenizer"]["files"]}
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def tiny(kind: str, out: Path) -> None:
    torch.manual_seed(8)
    count = len(EditTokenizer() if kind == "unipic" else Tokenizer())
    text = TextConfig(vocab_size=count, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    model, narrow = KINDS[kind](4, Trunk(InfinityConfig(3, 32, 2, 16, 32, 8, 3, 8.0), text), 16), Narrow(4, 8)
    for module in (model, narrow):
        randomise(module)
    sampling = {**SAMPLING[kind], "stages": 4, "headSteps": 3} | ({"coarseStages": 2} if kind == "cascade" else {})
    export_family(family(kind, model, narrow, sampling, out, name=f"{kind}-tiny"), out)
    if kind == "unipic":
        write_words(out, model)
    (out / "golden.json").write_text(json.dumps(golden(kind, model)) + "\n")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=tuple(KINDS))
    p.add_argument("--checkpoint", default="")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--out", type=Path)
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        tiny(a.kind, a.tiny / a.kind)
        return
    out = a.out or Path("../zoo") / a.kind
    model, info = load(KINDS[a.kind], a.checkpoint or f"checkpoints/{a.kind}.pt")
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    export_family(family(a.kind, model, load_narrow(a.narrow), SAMPLING[a.kind], out, name=a.kind, training=training), out)
    if a.kind == "unipic":
        write_words(out, model)


if __name__ == "__main__":
    main()
