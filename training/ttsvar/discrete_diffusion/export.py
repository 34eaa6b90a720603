"""Export VQ-DDM's mini, or a tiny random one with recorded values for the tests.

    python -m ttsvar.discrete_diffusion.export --out ../zoo/vq-ddm
    python -m ttsvar.discrete_diffusion.export --tiny ../test/fixtures/models/canvas-tiny/vq-ddm
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.discrete_diffusion.model import DiscreteDiffusion, load
from ttsvar.discrete_diffusion.sample import posterior
from ttsvar.latent.export import PROMPT, Family, export_family, halve, randomise, recording, tiny_trunk, write_floats
from ttsvar.latent.model import Codebook, Narrow, load_codebook, load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.text.tokenizer import Tokenizer

def family(model: DiscreteDiffusion, book: Codebook, narrow: Narrow, sampling: dict, out: Path, **more) -> Family:  # noqa: ANN003
    out.mkdir(parents=True, exist_ok=True)
    halve(model, book, narrow)
    entry = {**write_floats(book.entries, out / "codebook.bin"), "entries": len(book.entries)}

    def run(codes: Tensor, time: Tensor, prompt: Prompt) -> Tensor:
        return model(codes[None], time, prompt)[0]

    return Family(
        family="discrete-diffusion", trunk=model.trunk, owner=model, run=run,
        inputs={"codes": torch.randint(0, model.entries, (2, 64)), "time": torch.tensor([0.5])}, output="logits",
        dynamic={"codes": {0: "B"}, "logits": {0: "B"}}, widen=book.widen, channels=book.entries.shape[1],
        narrow=narrow, extra={"codebook": entry}, sampling=sampling, **more,
    )  # fmt: skip


@torch.no_grad()
def golden(model: DiscreteDiffusion, book: Codebook) -> dict:
    """What PyTorch computes: logits of both groups, a posterior, latents of a canvas."""
    torch.manual_seed(5)
    ids = Tokenizer().encode(PROMPT)
    both = model.trunk.both(torch.tensor([ids]))
    codes = torch.randint(0, model.entries, (2, 64))
    groups = [
        model(codes[None], torch.tensor([0.4]), Prompt(both.sos[g : g + 1], [(k[g : g + 1], v[g : g + 1]) for k, v in both.memory], None))[0]
        for g in (0, 1)
    ]  # fmt: skip
    clean = groups[0][0, :2].double().softmax(-1)
    return {
        "prompt": PROMPT, "ids": ids, "time": 0.4, "target": 0.2,
        **recording({
            "codes": codes.numpy(), "text": groups[0].numpy(), "none": groups[1].numpy(), "clean": clean.numpy(),
            "posterior": posterior(clean, codes[0, :2], 0.4, 0.2).numpy(), "latent": book.decode(codes[:1]).numpy(),
        }),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/vq-ddm.pt")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--out", type=Path, default=Path("../zoo/vq-ddm"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        torch.manual_seed(3)
        model = DiscreteDiffusion(24, tiny_trunk())
        book, narrow = Codebook(24, 4, 8), Narrow(4, 8)
        book.entries.normal_()
        for module in (model, book, narrow):
            randomise(module)
        sampling = {"steps": 4, "guidance": 1.5, "temperature": 1.0}
        export_family(family(model, book, narrow, sampling, a.tiny, name="vq-ddm-tiny"), a.tiny)
        (a.tiny / "golden.json").write_text(json.dumps(golden(model, book)) + "\n")
        return
    model, info = load(a.checkpoint)
    sampling = {"steps": a.steps, "guidance": a.guidance, "temperature": a.temperature}
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    chosen = family(model, load_codebook(a.codebook), load_narrow(a.narrow), sampling, a.out, name="vq-ddm", training=training)
    export_family(chosen, a.out)


if __name__ == "__main__":
    main()
