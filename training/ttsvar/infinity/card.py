"""Write the generator's model card from its checkpoints and measurements.

    python -m ttsvar.infinity.card

Reads, from the model's folder, what other commands measured and left there: ``reconstructions.json`` (PSNR), from
:mod:`ttsvar.infinity.evaluate_vae`; ``ceiling.json`` and ``evaluation.json`` (judged), from
:mod:`ttsvar.infinity.evaluate`; and the report of :mod:`ttsvar.infinity.quantisation` in ``results``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.infinity.draft import DraftConfig, DraftDecoder
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.vae import Vae
from ttsvar.world.paths import REPOSITORY


def millions(module) -> str:  # noqa: ANN001
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M"


def psnr_table(folder: Path) -> str:
    path = folder / "reconstructions.json"
    if not path.is_file():
        return "(not measured)"
    result = json.loads(path.read_text())
    names, values = list(result["psnr"]), [f"{v:.1f}" for v in result["psnr"].values()]
    head = f"| after scale | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}\n"
    return head + f"| PSNR (dB), {result['images']} fresh scenes | {' | '.join(values)} |"


def table(rows: dict[str, dict[str, float]]) -> str:
    """Rows of figures by tag."""
    tags = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(tags)} |", f"|{'---|' * (len(tags) + 1)}"]
    return "\n".join(lines + [f"| {name} | {' | '.join(f'{row[t]:.2f}' for t in tags)} |" for name, row in rows.items()])


def ceiling_table(folder: Path) -> str:
    path = folder / "ceiling.json"
    if not path.is_file():
        return ""
    result = json.loads(path.read_text())
    scenes, trip = result["scenes"], result["round_trip"]
    ratio = trip["mean"] / scenes["mean"]
    return f"""What the tokenizer loses: the verdicts of {result["judge"]} on {result["prompts"]} real scenes and on their round
trips through encoder, bits and decoder; {ratio:.3f} of the score is kept.

{table({"real scenes": scenes, "round trip": trip})}"""


def judged_table(folder: Path) -> str:
    path = folder / "evaluation.json"
    if not path.is_file():
        return "Judged figures are in the repository's results."
    result = json.loads(path.read_text())
    temperature = ", ".join(map(str, result["temperature"]))
    setting = f"guidance {result['guidance'][0]}, temperature {temperature} by scale"
    passed = table({name: row for name, row in result.items() if isinstance(row, dict)})
    draft = (
        "What the draft decoder costs and loses: [results/draft-agreement](../../results/draft-agreement/README.md).\n\n"
    )
    return draft + f"GenEval's rules, detector {result['judge']}, {setting}, {result['prompts']} fresh prompts:\n\n{passed}"


def quantised_table() -> str:
    """What int8 and int4 weights would cost: the table of :mod:`ttsvar.infinity.quantisation`."""
    path = REPOSITORY / "results" / "quantisation" / "README.md"
    if not path.is_file():
        return ""
    report = path.read_text(encoding="utf-8")
    rows = "\n".join(line for line in report.splitlines() if line.startswith("|"))
    return f"""Smaller weights, by the same judge ([how](../../results/quantisation/README.md)); shipped is fp16:

{rows}

{report[report.index("Recommended"):].strip()}"""


def draft_row(vae: Vae) -> str:
    """The draft decoder, which `add_draft` puts into the folder beside what is exported."""
    size = millions(DraftDecoder(DraftConfig.of(vae.config)))
    return f"| draft decoder | convolutional, distilled from the decoder; what searches look through | {size} |\n"


def card(bundle: Bundle, folder: Path) -> str:
    model, vae, info = bundle.generator.model, bundle.vae, bundle.info
    c, scales = model.config, ", ".join(f"{h}x{w}" for h, w in bundle.schedule.scales)
    validation = ", ".join(f"{v:.3f}" for v in info["validation"][:-1])
    return f"""# generator

A small text-to-image model for tests, demos and search experiments on a CPU: 64 x 64 px icon scenes with one to four
objects of GenEval's 80 classes, counts, ten colours and four relations. It is built like Infinity (bitwise visual
autoregressive modelling): the same modules, parameter names, sampling rules and scale-by-scale decoding, only small.

| part | structure | parameters |
|---|---|---|
| tokenizer | {bundle.generator.text.config.vocab_size} whole words; plurals and synonyms are normalised | |
| text encoder | T5 encoder, 2 layers, width 128 | {millions(bundle.generator.text)} |
| transformer | {c.depth} blocks, width {c.width}, {c.heads} heads, shared adaLN, 2-D RoPE | {millions(model)} |
| VAE encoder | stride {vae.config.stride}, {vae.config.channels} channels | {millions(vae.encoder)} |
| VAE decoder | convolutional | {millions(vae.decoder)} |
{draft_row(vae)}| quantiser | signs of residuals, scales {scales}; a magnitude per scale and channel | |

Weights are stored as float16 and computed in float32. Input and output names: see `manifest.json` and the graphs.
Differences from Infinity: code magnitudes are constants of the manifest instead of 1/sqrt(d), and the text encoder is
trained jointly with the transformer on a closed vocabulary.

## Data and licences

Synthetic scenes of this project only: one drawing per class (the role *generator* in
[ATTRIBUTION.md](../ATTRIBUTION.md), with authors and licences), ten recolourings, six flat backgrounds, objects of
40 px (one) or 24 px (two to four) on a coarse grid. No photographs, no people's data, no downloaded weights. Prompts
with two objects and no relation are drawn left to right in 88 % of the samples. The weights are released under the
licence of this repository.

## Recipe

`python -m ttsvar.make generator` in `training/` lists and runs every command; all seeds and numbers of steps are there.
The transformer saw {info['images']:,} images in {info['step']:,} steps of 64 ({info['minutes']} minutes on one to two
CPU cores that other work shared): bit-wise cross-entropy, bitwise self-correction (flips up to 20 %), 10 % text dropout,
Muon and AdamW, averaged weights. Curves: `training/curves/`.

## Measured

Validation cross-entropy by scale in bits per bit (1 = coin flip): {validation};
all tokens {info['validation'][-1]:.3f}.

{psnr_table(folder)}

![reconstructions](reconstructions.png)

Twelve fresh scenes (first row) and what is decoded after each scale.

{ceiling_table(folder)}

{judged_table(folder)}

![samples](samples.png)

All figures and pictures: `python -m ttsvar.make generator --publish` in `training/` (it reads the checkpoints; get them
from this folder with `python -m ttsvar.infinity.restore`).

{quantised_table()}

## Limits

- Knows only its 80 drawings, flat backgrounds and the words of its vocabulary; anything else is ignored.
- Which of two things is on the left, or has which of two colours, is little better than a coin flip in one image: the
  bits of the 1x1 scale, drawn independently of each other, decide the order before the text can. That, more than the
  quality of the drawings, is the headroom that search finds here.
- White is badly drawn: 15 % of single white objects pass the judge, the other nine colours 90 to 100 %; of 22 prompts that
  ask for a white thing beside one of another colour, none is right in one sample. Part of what `colors` and `color_attr` lack
  above is this, and search mends little of it. (Version 1.0.0; the next model's recipe has to show more white.)
- Fine detail is blurred by the 8x8 latent; at most four objects.
- Not a measure of what large models do: use it to study search, not image quality.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../models/generator"))
    a = parser.parse_args()
    (a.out / "card.md").write_text(card(load_bundle(a.checkpoint, a.vae), a.out), encoding="utf-8")
    print(a.out / "card.md")


if __name__ == "__main__":
    main()
