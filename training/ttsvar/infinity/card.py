"""Write the generator's model card from its checkpoints and measurements.

    python -m ttsvar.infinity.card

Reads the PSNR table (``reconstructions.json`` of :mod:`ttsvar.infinity.evaluate_vae`) and, if present, the judged
figures (``evaluation.json`` of :mod:`ttsvar.infinity.evaluate`) in the model's folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.infinity.generator import Bundle, load_bundle


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


def judged_table(folder: Path) -> str:
    path = folder / "evaluation.json"
    if not path.is_file():
        return "Judged figures are in the repository's results."
    result = json.loads(path.read_text())
    rows = [(name, row) for name, row in result.items() if isinstance(row, dict)]
    tags = list(rows[0][1])
    table = f"| | {' | '.join(tags)} |\n|{'---|' * (len(tags) + 1)}\n"
    table += "\n".join(f"| {name} | {' | '.join(f'{row[t]:.2f}' for t in tags)} |" for name, row in rows)
    setting = f"guidance {result['guidance']}, temperature {result['hot']} to {result['cold']}"
    return f"GenEval's rules, detector {result['judge']}, {setting}, {result['prompts']} fresh prompts:\n\n{table}"


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
| quantiser | signs of residuals, scales {scales}; a magnitude per scale and channel | |

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

`training/README.md` lists the commands; seeds: VAE 0, then 10 (second cycle) and 20 (decoder only), transformer 0.
The transformer saw {info['images']:,} images in {info['step']:,} steps of 64 ({info['minutes']} minutes, one to two
CPU cores): bit-wise cross-entropy, bitwise self-correction (flips up to 20 %), 10 % text dropout, Muon and AdamW,
cosine schedule, averaged weights.

## Measured

Validation cross-entropy by scale in bits per bit (1 = coin flip): {validation};
all tokens {info['validation'][-1]:.3f}.

{psnr_table(folder)}

![reconstructions](reconstructions.png)

{judged_table(folder)}

![samples](samples.png)

## Limits

- Knows only its 80 drawings, flat backgrounds and the words of its vocabulary; anything else is ignored.
- Pairs of objects are harder than single ones: shapes or colours of the two are sometimes mixed.
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
