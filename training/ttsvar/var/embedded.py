"""Exports the embedded VAR from the checkpoints of its trainers.

    python -m ttsvar.var.embedded --out ../zoo/var
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.export import digest
from ttsvar.infinity.graphs import store_integers
from ttsvar.infinity.official.placement import Storage
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.export import Sampling, Source, export
from ttsvar.var.train import load_var
from ttsvar.world import CLASSES


def source(model: str, tokenizer: str, sampling: Sampling) -> tuple[Source, dict]:
    var, info = load_var(model)
    vae = load_checkpoint(tokenizer)
    make = lambda: VqVae(vae["vocabulary"], 32, sides=vae["sides"], small=vae["small"])  # noqa: E731
    extra = {
        "training": {k: info[k] for k in ("images", "minutes", "validation")}, "psnr": [round(x, 2) for x in vae["psnr"]],
        "license": "MIT", "card": "card.md",
    }  # fmt: skip
    return Source("var", var.config, var.state_dict(), make, vae["state"], tuple(CLASSES), sampling), extra


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="checkpoints/var.pt")
    parser.add_argument("--tokenizer", default="checkpoints/var-tokenizer.pt")
    parser.add_argument("--out", type=Path, default=Path("../zoo/var"))
    a = parser.parse_args()
    what, extra = source(a.model, a.tokenizer, Sampling(guidance=1.5, top_k=200, top_p=0.96))
    content = export(what, a.out, Storage(16), extra)
    for entry in content["graphs"].values():
        store_integers(a.out / entry["file"])
        entry |= digest(a.out / entry["file"])
    (a.out / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(content["verification"])


if __name__ == "__main__":
    main()
