"""Export a mini of ordered groups, or tiny random ones with recorded values for the tests.

    python -m ttsvar.ordered.export --out ../zoo/nar
    python -m ttsvar.ordered.export --tiny ../test/fixtures/models/canvas-tiny
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.frames import worlds
from ttsvar.frames.words import MotionTokenizer, write
from ttsvar.latent.export import PROMPT, Family, export_family, halve, randomise, recording, tiny_trunk, write_floats
from ttsvar.latent.model import Codebook, Narrow, load_codebook, load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.ordered.model import Ordered, causal, load, sequence
from ttsvar.text.tokenizer import Tokenizer


def family(model: Ordered, book: Codebook, narrow: Narrow, sampling: dict, out: Path, **more) -> Family:  # noqa: ANN003
    out.mkdir(parents=True, exist_ok=True)
    halve(model, book, narrow)
    entry = {**write_floats(book.entries, out / "codebook.bin"), "entries": len(book.entries)}
    (cos, sin), mask = model.rope(), causal(sequence(model.grouping, model.frames)[1])

    def run(codes: Tensor, at: Tensor, prompt: Prompt) -> Tensor:
        length = codes.shape[1]
        tables = cos[:length], sin[:length]
        return torch.stack([own[0] for own in model(codes[None], prompt, tables, mask[:length, :length], at)], 1)

    codes = torch.randint(0, model.entries, (2, len(cos)))
    clip = {"frames": model.frames} if model.frames > 1 else {}
    if clip:
        more["tokenizer"] = write
    return Family(
        family="ordered-groups", trunk=model.trunk, owner=model, run=run,
        inputs={"codes": codes[:, :7], "at": torch.tensor([3, 4, 5, 6])}, nominal=[codes[:1], torch.arange(8)],
        output="logits", dynamic={"codes": {0: "B", 1: "L"}, "at": {0: "M"}, "logits": {0: "B", 2: "M"}},
        widen=book.widen, channels=book.entries.shape[1], narrow=None if clip else narrow,
        extra={"grouping": model.grouping, **clip, "codebook": entry}, sampling=sampling, **more,
    )  # fmt: skip


@torch.no_grad()
def golden(model: Ordered) -> dict:
    """Teacher-forced logits of both groups at a few positions, as PyTorch computes them for a whole canvas."""
    torch.manual_seed(5)
    text = worlds.moving_prompt("car", "red", "right") if model.frames > 1 else PROMPT
    ids = (MotionTokenizer() if model.frames > 1 else Tokenizer()).encode(text)
    both = model.trunk.both(torch.tensor([ids]))
    codes = torch.randint(0, model.entries, (1, 64 * model.frames))
    one = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    order, _ = sequence(model.grouping, model.frames)
    positions = torch.tensor([0, 1, 8, 9, 27, 64 * model.frames - 1])
    logits = model.teacher(codes, one)[0, positions]
    return {
        "prompt": text, "ids": ids,
        **recording({"codes": codes.numpy(), "order": order.numpy(), "positions": positions.numpy(), "logits": logits.numpy()}),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/nar.pt")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--min-p", type=float, help="default: .03 for raster (X-Omni's), none for diagonals")
    p.add_argument("--out", type=Path, default=Path("../zoo/nar"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        for name, grouping, frames in (("nar", "diagonal", 1), ("nar-video", "diagonal", 3), ("raster", "raster", 1)):
            torch.manual_seed(4)
            out = a.tiny / name
            words = MotionTokenizer() if frames > 1 else Tokenizer()
            model = Ordered(24, grouping, tiny_trunk(3 if grouping == "diagonal" else 2, len(words)), frames)
            book, narrow = Codebook(24, 4, 8), Narrow(4, 8)
            book.entries.normal_()
            for module in (model, book, narrow):
                randomise(module)
            sampling = {"guidance": 1.5 if grouping == "diagonal" else 1.0, "temperature": 1.0, "minP": 0.03}
            export_family(family(model, book, narrow, sampling, out, name=f"{out.name}-tiny"), out)
            (out / "golden.json").write_text(json.dumps(golden(model)) + "\n")
        return
    model, info = load(a.checkpoint)
    least = a.min_p if a.min_p is not None else 0.03 if model.grouping == "raster" else 0.0
    sampling = {"guidance": a.guidance, "temperature": a.temperature, "minP": least}
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    chosen = family(
        model, load_codebook(a.codebook), load_narrow(a.narrow), sampling, a.out, name=a.out.name, training=training
    )
    export_family(chosen, a.out)


if __name__ == "__main__":
    main()
