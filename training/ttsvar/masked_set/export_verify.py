"""Export MAR with its verification head, or a tiny random one with recorded values for the tests.

    python -m ttsvar.masked_set.export_verify --out ../zoo/harmon
    python -m ttsvar.masked_set.export_verify --tiny ../test/fixtures/models/canvas-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.infinity.export import digest
from ttsvar.infinity.generator import pad
from ttsvar.infinity.graphs import export_graph
from ttsvar.infinity.restore import restore_vae
from ttsvar.latent.export import count, export_family, halve, randomise, recording, tiny_trunk
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.masked_set.export import family
from ttsvar.masked_set.model import MaskedSet
from ttsvar.masked_set.model import load as load_mar
from ttsvar.masked_set.verify import Verifier, load
from ttsvar.text.tokenizer import Tokenizer

QUESTIONS = ("a red apple", "two dogs", "a cat left of a car")
#: Harmon's. The vocabulary has none of its words: what remains is the end of a text.
NEGATIVE = "Generate an image."
SAMPLING = {
    "stages": 8, "headSteps": 25, "guidance": 3.0, "guidanceSchedule": "constant", "temperature": 0.9,
    "negativePrompt": NEGATIVE,
}  # fmt: skip


class VerifyGraph(nn.Module):
    """tokens ``[N, 64, d]``, padded questions ``[Q, T]`` -> probability of yes ``[N, Q]``."""

    def __init__(self, verifier: Verifier):
        super().__init__()
        self.verifier = verifier

    def forward(self, tokens: Tensor, ids: Tensor) -> Tensor:
        return self.verifier(tokens, ids[None].expand(tokens.shape[0], -1, -1)).sigmoid()


def export_verifier(verifier: Verifier, narrow: Narrow, path: Path) -> dict:
    ids = pad([Tokenizer().encode(question) for question in QUESTIONS])
    tokens = torch.randn(2, 64, verifier.model.channels)
    axes = {"tokens": {0: "N"}, "input_ids": {0: "Q", 1: "T"}, "yes": {0: "N", 1: "Q"}}
    export_graph(VerifyGraph(verifier), {"tokens": tokens, "input_ids": ids}, ["yes"], axes, path)
    picture = count(lambda: verifier.features(tokens[:1]))
    features = verifier.features(tokens[:1])
    question = count(lambda: verifier.answers(features, ids[None, :1]))
    vae = restore_vae(Path("../models/generator"))
    pixels, wide = torch.zeros(1, 3, 64, 64), torch.zeros(1, 32, 8, 8)
    encode = count(lambda: vae.encode(pixels)) + count(lambda: narrow.encode(wide))
    base = Path("../models/generator")
    encoder = json.loads((base / "manifest.json").read_text())["graphs"]["vae_encode"]
    return {
        "file": path.name, **digest(path), "encoder": {**encoder, "of": base.name},
        "flops": {"encode": encode, "picture": picture, "question": question},
    }  # fmt: skip


def export(
    model: MaskedSet, verifier: Verifier, narrow: Narrow, sampling: dict, out: Path, **more  # noqa: ANN003
) -> None:
    described = family(model, narrow, sampling, out, **more)
    halve(verifier)
    described.extra["verify"] = export_verifier(verifier.eval(), narrow, out / "verify.onnx")
    export_family(described, out)


def tiny(out: Path) -> None:
    torch.manual_seed(9)
    model, narrow = MaskedSet(4, tiny_trunk(3), 16), Narrow(4, 8)
    verifier = Verifier(model, 16)
    for module in (verifier, narrow):
        randomise(module)
    export(model, verifier, narrow, {**SAMPLING, "stages": 4, "headSteps": 3}, out, name="harmon-tiny")
    ids = pad([Tokenizer().encode(question) for question in QUESTIONS])
    tokens = torch.randn(2, 64, 4)
    with torch.no_grad():
        yes = VerifyGraph(verifier)(tokens, ids)
    found = {"questions": QUESTIONS, **recording({"tokens": tokens.numpy(), "ids": ids.numpy(), "yes": yes.numpy()})}
    (out / "golden.json").write_text(json.dumps(found) + "\n")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--mar", default="checkpoints/mar.pt")
    p.add_argument("--checkpoint", default="checkpoints/harmon.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--out", type=Path, default=Path("../zoo/harmon"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        tiny(a.tiny / "harmon")
        return
    model, info = load_mar(a.mar)
    verifier, own = load(model, a.checkpoint)
    training = {
        "images": info["images"], "minutes": info["minutes"] + own["minutes"], "validation": info["validation"],
        "verifier": own["validation"],
    }  # fmt: skip
    export(model, verifier, load_narrow(a.narrow), SAMPLING, a.out, name=a.out.name, training=training)


if __name__ == "__main__":
    main()
