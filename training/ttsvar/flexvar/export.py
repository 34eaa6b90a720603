"""Exports the embedded FlexVAR: the embedded generator's five graphs with its weights; maps are not added up.

    python -m ttsvar.flexvar.export --out ../zoo/flexvar
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from ttsvar.infinity.export import export
from ttsvar.infinity.generator import load_bundle
from ttsvar.infinity.sample import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/flexvar.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../zoo/flexvar"))
    parser.add_argument("--autoencoder", type=Path, default=Path("../models/generator"))
    a = parser.parse_args()
    bundle = load_bundle(a.checkpoint, a.vae)
    content = export(bundle, a.out, Settings.embedded(), "flexvar", a.autoencoder)
    magnitude = bundle.info["flex_magnitude"].numpy().astype(np.float32)
    content |= {"name": "flexvar", "family": "flexvar", "codeMagnitude": [[float(x) for x in row] for row in magnitude]}
    del content["schedules"][0]["stageFlops"]  # any schedule: computed
    (a.out / "manifest.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(content["training"])


if __name__ == "__main__":
    main()
