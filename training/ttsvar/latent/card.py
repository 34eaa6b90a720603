"""Write the card of a canvas family's model folder, from its manifest and what was measured.

    python -m ttsvar.latent.card ../zoo/vq-ddm

Reads ``manifest.json`` and, where they lie in the folder, ``evaluation.json`` (the family's ``evaluate --out``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.infinity.card import table

WHAT = {
    "discrete-diffusion": "discrete diffusion of a whole canvas of codes, in the manner of VQ-DDM",
    "ordered-groups": "codes in ordered groups: anti-diagonals in the manner of NAR, or rows token by token",
    "masked-set": "masked sets of vectors, in the manner of MAR (diffusion head) or TokenBridge (categorical head)",
    "block-flow": "flow by cells, in the manner of xAR (noisy context) or ACDiT (clean context)",
}
#: What a mini must reach to be listed: mean over kinds of prompts, one image and the best of eight.
FLOOR = {"pass@1": 0.35, "pass@8": 0.55}


def measured(folder: Path) -> str:
    path = folder / "evaluation.json"
    if not path.is_file():
        return "Not judged: this model is not finished."
    result = json.loads(path.read_text())
    rows = {key: result[key] for key in result if key.startswith("pass@")}
    reached = all(rows[key]["mean"] >= least for key, least in FLOOR.items() if key in rows) and "pass@8" in rows
    floor = ", ".join(f"{key} {least}" for key, least in FLOOR.items())
    verdict = "reaches" if reached else "does not reach"
    return f"""{result["judge"]} on {result["prompts"]} prompts with {result["candidates"]} images each, by Python's sampler:

{table(rows)}

It {verdict} the zoo's floor ({floor}; means)."""


def card(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    training = manifest["training"]
    sampling = ", ".join(f"{key} {value}" for key, value in manifest["sampling"].items())
    return f"""# {manifest["name"]}

{WHAT[manifest["family"]][0].upper()}{WHAT[manifest["family"]][1:]}: a small text-to-image model for tests and studies of search, 64 x 64 px
icon scenes. What it keeps of the published system and what not: docs/families.md.

## Data and licences

Synthetic scenes of this project only, as for the shipped generator (models/ATTRIBUTION.md lists the drawings with authors and
licences). Blocks and text encoder start from the shipped generator's weights; pictures are decoded by its autoencoder, which this
folder names by hash. The weights are released under the licence of this repository.

## Recipe

`python -m ttsvar.make {manifest["name"]}` in `training/` lists and runs every command, with all seeds (0 throughout). Training saw
{training.get("images", 0):,} images in {training.get("minutes", 0):.0f} minutes on one shared CPU core. Validation: {json.dumps(training.get("validation", {}))}.

Settings: {sampling}.

## Measured

{measured(folder)}

## Limits

Only the vocabulary and the layouts of the synthetic world; 64 px; no photographs. Not the published system, and not comparable
with its figures.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    a = parser.parse_args()
    (a.folder / "card.md").write_text(card(a.folder), encoding="utf-8")


if __name__ == "__main__":
    main()
