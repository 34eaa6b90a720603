"""Export a masked-set mini, or tiny random ones with recorded values for the tests.

    python -m ttsvar.masked_set.export --out ../zoo/mar
    python -m ttsvar.masked_set.export --tiny ../test/fixtures/models/canvas-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.infinity.export import digest
from ttsvar.infinity.graphs import export_graph
from ttsvar.latent.export import PROMPT, Family, Widen, count, export_family, halve, randomise, recording, tiny_trunk
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.masked_set.model import MaskedSet, load
from ttsvar.masked_set.sample import denoise_step
from ttsvar.text.tokenizer import Tokenizer


class LastLogits(nn.Module):
    """Logits of the next channel alone."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, levels: Tensor, vector: Tensor) -> Tensor:
        return self.head(levels, vector)[:, -1]


def export_diffusion(model: MaskedSet, width: int, channels: int, path: Path) -> dict:
    inputs = {"x": torch.randn(5, channels), "time": torch.tensor([0.5]), "vector": torch.randn(5, width)}
    export_graph(model.head, inputs, ["noise"], {"x": {0: "N"}, "vector": {0: "N"}, "noise": {0: "N"}}, path)
    flops = count(lambda: model.head(inputs["x"][:1], inputs["time"], inputs["vector"][:1]))
    return {"kind": "diffusion", "flops": flops}


def export_levels(model: MaskedSet, width: int, channels: int, path: Path) -> dict:
    start = channels * model.levels
    inputs = {"levels": torch.tensor([[start, 1, model.levels]] * 5), "vector": torch.randn(5, width)}
    axes = {"levels": {0: "N", 1: "n"}, "vector": {0: "N"}, "logits": {0: "N"}}
    export_graph(LastLogits(model.head), inputs, ["logits"], axes, path)
    flops = sum(
        count(lambda n=n: model.head(torch.full((1, n + 1), start), inputs["vector"][:1])) for n in range(channels)
    )
    return {"kind": "categorical", "flops": flops, "levels": model.levels, "order": model.order}


def family(model: MaskedSet, narrow: Narrow, sampling: dict, out: Path, **more) -> Family:  # noqa: ANN003
    out.mkdir(parents=True, exist_ok=True)
    halve(model, narrow)
    model.eval()
    width, d = model.trunk.width, model.channels
    export_head = export_levels if model.levels else export_diffusion
    head = {**export_head(model, width, d, out / "head.onnx"), "file": "head.onnx", **digest(out / "head.onnx")}

    def run(tokens: Tensor, known: Tensor, prompt: Prompt) -> Tensor:
        return model(tokens[None], known[None], prompt)[0]

    return Family(
        family="masked-set", trunk=model.trunk, owner=model, run=run,
        inputs={"tokens": torch.randn(2, 64, d), "known": (torch.rand(2, 64) < 0.5).float()}, output="vectors",
        dynamic={"tokens": {0: "B"}, "known": {0: "B"}, "vectors": {0: "B"}}, widen=Widen(narrow), channels=d,
        narrow=narrow, extra={"head": head}, sampling=sampling, **more,
    )  # fmt: skip


@torch.no_grad()
def golden(model: MaskedSet) -> dict:
    """Decoder vectors, a head pass and a step of a token's diffusion, as PyTorch computes them."""
    torch.manual_seed(5)
    ids = Tokenizer().encode(PROMPT)
    both = model.trunk.both(torch.tensor([ids]))
    text = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    tokens, known = torch.randn(1, 64, model.channels), (torch.rand(1, 64) < 0.4).float()
    vectors = model((tokens * known[..., None])[None], known[None], text)[0]
    common = {"tokens": (tokens * known[..., None]).numpy(), "known": known.numpy(), "vectors": vectors[0, :8].numpy()}
    if model.levels:
        read = torch.tensor([[model.channels * model.levels, 3, model.levels + 1]] * 4)
        logits = model.head(read, vectors[0, :4])[:, -1]
        return {"prompt": PROMPT, "ids": ids, **recording({**common, "read": read.numpy(), "logits": logits.numpy()})}
    x, fresh = torch.randn(4, model.channels), torch.randn(4, model.channels)
    noise = model.head(x, torch.tensor([0.6]), vectors[0, :4])
    after = denoise_step(x.double(), noise.double(), 0.6, 0.4, fresh.double(), 0.9)
    return {
        "prompt": PROMPT, "ids": ids, "time": 0.6, "target": 0.4, "temperature": 0.9,
        **recording({
            **common, "x": x.numpy(), "fresh": fresh.numpy(), "noise": noise.numpy(), "after": after.numpy(),
        }),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/mar.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--stages", type=int, default=8)
    p.add_argument("--head-steps", type=int, default=25)
    p.add_argument("--guidance", type=float, default=3.0)
    p.add_argument("--temperature", type=float, default=0.9)
    p.add_argument("--out", type=Path, default=Path("../zoo/mar"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    sampling = {
        "stages": a.stages, "headSteps": a.head_steps, "guidance": a.guidance, "guidanceSchedule": "linear",
        "temperature": a.temperature,
    }  # fmt: skip
    if a.tiny:
        for name, levels in (("mar", 0), ("tokenbridge", 4)):
            torch.manual_seed(6)
            out = a.tiny / name
            model, narrow = MaskedSet(4, tiny_trunk(3), 16, levels, [2, 0, 3, 1]), Narrow(4, 8)
            for module in (model, narrow):
                randomise(module)
            small = {**sampling, "stages": 4, "headSteps": 3}
            export_family(family(model, narrow, small, out, name=f"{name}-tiny"), out)
            (out / "golden.json").write_text(json.dumps(golden(model)) + "\n")
        return
    model, info = load(a.checkpoint)
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    export_family(family(model, load_narrow(a.narrow), sampling, a.out, name=a.out.name, training=training), a.out)


if __name__ == "__main__":
    main()
