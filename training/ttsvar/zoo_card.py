"""Write the card of a model in ``zoo/``, from its manifest and from what studies measured.

    python -m ttsvar.zoo_card ../zoo/vq-ddm ../zoo/hmar

Reads ``manifest.json``, and where there is one the table of ``tts-var study run configs/studies/families.yaml`` for the model
(``results/families/NAME/table.json``) or of ``canvas.yaml``, or of a study of its own (``results/NAME/table.json``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.world.paths import REPOSITORY

WHAT = {
    "small": "the small partner of the embedded generator for CoDe: an Infinity transformer of 3 x 128 that draws on in its scales",
    "hmar": "next-scale drawing without history (Markov), each scale in masked passes by confidence, in the manner of HMAR",
    "flexvar": "next-scale drawing without residuals, any number of steps and aspects, in the manner of FlexVAR",
    "varedit": "editing by instruction with the source picture as a past, in the manner of VAREdit",
    "var": "class-conditional next-scale drawing over a residual codebook, VAR itself at a small size",
    "far": "clips frame by frame by flow matching, recent frames in full and older ones in outline, in the manner of FAR",
    "epona": "a plan of poses first, then the frames that it asks for, in the manner of Epona",
    "harmon": "masked sets of vectors with a verifier on their own encoder, in the manner of Harmon, without a language model",
    "unipic": "an editor by instruction on masked sets of vectors, in the manner of UniPic's edit configuration",
    "masked-cascade": "two levels of masked sets, in the manner of MAR-3D's cascade, for pictures",
    "discrete-diffusion": "discrete diffusion of a whole canvas of codes, in the manner of VQ-DDM",
    "ordered-groups": "codes in ordered groups: anti-diagonals in the manner of NAR, or rows token by token",
    "masked-set": "masked sets of vectors, in the manner of MAR (diffusion head) or TokenBridge (categorical head)",
    "block-flow": "flow by cells, in the manner of xAR (noisy context) or ACDiT (clean context)",
}
#: What a mini must reach to be called finished: the judge's mean over kinds of prompts, one image and the best of eight.
FLOOR = {1: 0.35, 8: 0.55}
#: Models whose figures stand beside those of their systems.
OF_SYSTEMS = ("flexvar", "varedit", "var")
CANVAS = ("discrete-diffusion", "ordered-groups", "masked-set", "masked-cascade", "block-flow", "frames")


def measured(folder: Path) -> str:
    name, own = folder.name, folder / "evaluation.json"
    if own.is_file():
        return f"By the system's own `evaluate` (`evaluation.json`):\n\n```json\n{own.read_text(encoding='utf-8').strip()}\n```"
    if name in OF_SYSTEMS:
        return "With commands, intervals and verdicts: results/next-scale/var-family.md."
    results = REPOSITORY / "results"
    path = next((at for at in (*(results / of / name / "table.json" for of in ("families", "canvas")), results / name / "table.json") if at.is_file()), None)
    if path is None:
        return "Not judged by a study of families; see docs and results of its own system."
    table = json.loads(path.read_text(encoding="utf-8"))
    passes = {row["n"]: row["score"] for row in table["passAt"]}
    floor = ", ".join(f"pass@{n} {least}" for n, least in FLOOR.items())
    verdict = "reaches" if all(passes.get(n, 0) >= least for n, least in FLOOR.items()) else "does not reach"
    rows = "\n".join(f"| pass@{n} | {100 * score:.1f} |" for n, score in passes.items())
    return f"""`{table["command"]}`: {table["prompts"]} prompts of GenEval's six kinds, {table["treeWidth"]} images each, judged by
`{table["config"]["judge"]}`; unweighted mean of the kinds, per cent.

| | |
|---|--:|
{rows}

It {verdict} the zoo's floor ({floor})."""


def card(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    name, family, training = manifest["name"], manifest["family"], manifest["training"]
    verifier = f" The verifier's share of right answers: `{json.dumps(training['verifier'])}`." if "verifier" in training else ""
    what = WHAT.get(name) or WHAT[family]
    sampling = ", ".join(f"{key} {value}" for key, value in manifest["sampling"].items())
    page = "families.md" if family in CANVAS else "var.md" if family == "var" else "next-scale.md"
    decoded = "pictures are decoded by that\ngenerator's autoencoder, which the folder names by hash and does not copy."
    start = {
        "var": "It starts from nothing but its data.",
        "frames": f"Its text encoder starts from the shipped generator's, all else from nothing; {decoded}",
    }.get(family, f"It starts from the shipped generator's weights, or another mini's that did, or learns from its outputs; {decoded}")
    return f"""# {name}

{what[0].upper()}{what[1:]}. A small model for tests and studies of search: 64 x 64 px icon scenes. What it keeps of the published
system and what not: docs/{page}.

## Data and licences

Synthetic scenes of this project only, as for the shipped generator (models/ATTRIBUTION.md lists the drawings with authors and
licences). {start} The weights are released under the licence of this repository (MIT).

## Recipe

`python -m ttsvar.make {name}` in `training/` lists and runs every command with its seeds. The weights here saw
{training.get("images", 0):,} images in {training.get("minutes", 0):.0f} minutes on one or two CPU cores, in one cycle or several (`--init`); their last
validation: `{json.dumps(training.get("validation", {}))}`.{verifier}

Settings: {sampling}.

## Measured

{measured(folder)}

## Limits

Only the vocabulary and the layouts of the synthetic world; 64 px; no photographs. Not the published system, and not comparable
with its figures.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    for folder in parser.parse_args().folders:
        (folder / "card.md").write_text(card(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
