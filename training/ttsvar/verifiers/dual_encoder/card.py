"""Writes card.md from a fresh evaluation: python -m ttsvar.verifiers.dual_encoder.card --model ../models/dual-encoder"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ttsvar.common.training import load_checkpoint
from ttsvar.world import World
from ttsvar.world.paths import REPOSITORY, TRAINING_ROOT

from .config import ModelConfig, TrainConfig
from .evaluate import as_markdown, evaluate
from .model import DualEncoder
from .pool import WORLDS
from .runtime import DualEncoderOnnx

_TEXT = """# dual-encoder

A CLIP-like dual encoder for 64 x 64 images of the synthetic icon world and captions in GenEval's grammar. Its cosine is
the reward `clip`; the patch tokens of its vision tower serve as features for clustering. It may be optimised against,
so it is **not the judge**: results are scored by `detector-b`, which shares no weights with it.

## Format

CLIP layout of transformers.js (`model_type` clip), {size:.1f} MiB, weights stored as fp16 and computed in fp32. Loads with
`CLIPTextModelWithProjection`, `CLIPVisionModelWithProjection`, `AutoProcessor`, `AutoTokenizer`. There is no
`onnx/model.onnx` with both towers: a caption is embedded once per prompt, images once per candidate.

| tensor | shape | meaning |
|---|---|---|
| pixel_values (input) | f32 [B, 3, 64, 64] | RGB in -1..1 (mean = std = 0.5), see preprocessor_config.json |
| image_embeds | f32 [B, {dim}] | **not normalised**, as CLIP's towers with projection give it |
| last_hidden_state | f32 [B, 65, {width}] | pooled token first, then 8 x 8 patch tokens row by row (after the final norm) |
| input_ids, attention_mask (input) | i64 [T, L], L <= 16 | padded on the right; the last real token is `</s>` |
| text_embeds | f32 [T, {dim}] | not normalised |

Score = cosine of the two; logits = {scale:.1f} x cosine. Cut longer captions to 15 tokens and put `</s>` back: the text
tower pools there. Cost: {image_mflops:.0f} MFLOP an image, {text_mflops:.1f} MFLOP a caption of 16 tokens.

## Data

Scenes of `ttsvar.world` only (shares of pairs): {worlds}. The generator's own drawings are among them and so are the
verifier's further drawings, at seeds the generator does not use; held-out drawings are not. {drawn:,} different scenes in
pairs that differ in exactly one colour, class, count, relation, order or colour binding. Licences of the drawings:
[../ATTRIBUTION.md](../ATTRIBUTION.md). No photograph, no text corpus, no pretrained weights.

## Recipe

- Vision: strided convolutions, 8 x 8 tokens and {slots} slot tokens, {vision_layers} transformer layers of width {width}; slots and the
  mean patch of every quadrant are joined by an MLP. Text: {text_layers} layers of width {text_width} over phrase tokens. {parameters:.2f} M
  parameters in all (patch-wise heads of the training not exported).
- {images:,} images seen over three stages, bfloat16, Muon (matrices, kernels) and AdamW (rest), cosine, weight average
  {ema}. Stage 1 (1,400 steps, peak learning rate 0.002, seed 20240611) had neither part loss nor quadrant means: order
  stayed at chance, colour binding until its end. Stage 2 (700 steps, 0.0015, seed 20240612) learned both at the cost of
  classes; stage 3 ({steps} steps, {rate}, seed {seed}) recovered them. Whether one stage with all parts on does as well is
  untested.
- Contrastive loss both ways. Image to text: against all captions of the batch, of which {negatives} per image differ from its own
  in one thing; captions that hold for the image as well are left out. Text to image: against all images, the partner of
  the pair and damaged copies (blend of two scenes, mosaic, shuffled cells, half erased).
- Auxiliary losses: class and asked colour of every patch; from stage 2 on the part loss, which asks both embeddings for fixed
  random vectors of their parts ("class k on the left", "class k in red", `atoms.py`).
- Augmentation: shift, zoom, blur down to 12 pixels, noise, colour jitter.
- Curve: `training/curves/dual-encoder.jsonl` (last line: {last}).

    T="--tokenizer ../models/generator/tokenizer.json"; C=checkpoints/dual-encoder
    python -m ttsvar.verifiers.dual_encoder.train $T --atom-weight 0 --slots-only --out $C-1
    python -m ttsvar.verifiers.dual_encoder.train $T --init $C-1/checkpoint.pt --steps 700 --learning-rate 0.0015 --atom-weight 1 --pairs 32 --degraded 8 --seed 20240612 --out $C-2
    python -m ttsvar.verifiers.dual_encoder.train $T --init $C-2/checkpoint.pt --steps {steps} --learning-rate {rate} --atom-weight {atom_weight} --degraded {degraded} --seed {seed} --out $C
    python -m ttsvar.verifiers.dual_encoder.export --checkpoint checkpoints/dual-encoder/checkpoint.pt --tokenizer ../models/generator --out ../models/dual-encoder
    python -m ttsvar.verifiers.dual_encoder.card --model ../models/dual-encoder --checkpoint checkpoints/dual-encoder/checkpoint.pt

## Quality

Fresh scenes (other seeds), through onnxruntime: `python -m ttsvar.verifiers.dual_encoder.evaluate --model ../models/dual-encoder --scenes {scenes}`.
Shares of images whose own caption is first. `top1_of_100`: among 100 captions of other scenes ({scenes} images; blur32 and
blur16: the image reduced to that side and enlarged again). The others ({half} images each): among all captions that differ
in one colour (10 captions), count (4), class (80), relation (4), order of the objects (2), binding of the colours (2).

{table}

generator: the generator's world. free: all training drawings, free places and sizes, varied backgrounds. heldout: drawings
no model was trained on.

As a reward, on images of the embedded generator and against the verdicts of the held-out judge (detector-b), within
prompts: correlation {correlation:.3f}; (pass, fail) pairs in order {order:.3f}; the image it chooses out of {samples} passes in
{chosen:.3f} of the prompts, one image in {one:.3f}, the best of {samples} in {oracle:.3f}. Command:
`npx tsx scripts/reward-agreement.ts {prompts} {samples}` ([table](../../results/reward-agreement/README.md)).

## Limits

- Version 1.0.0 was trained on four pictures that count as held out (traffic light, computer mouse, tennis racket, sink), of
  96: its figures for "heldout" flatter by up to 4 %. Copies are left out of training since.
- Knows 80 classes, ten colours, counts to four and four relations in this drawing style, nothing about photographs.
- Captions with more than two kinds of objects were never seen.
- "a dog" and "a brown dog" were kept apart by whether a colour was asked for, so an object in its natural colour may
  score low for a caption that names this colour.
- Absolute cosines are comparable for one caption only; compare candidates of the same prompt.
- A reward under optimisation overstates quality: report the judge.
"""


def agreement() -> dict[str, float]:
    """Figures of the committed agreement with the judge (scripts/reward-agreement.ts)."""
    table = json.loads((REPOSITORY / "results/reward-agreement/table.json").read_text(encoding="utf-8"))
    clip = table["rewards"]["clip"]
    return {
        "correlation": clip["withinPromptCorrelation"], "order": clip["pairsInOrder"], "chosen": clip["bestOfN"],
        "one": table["passRate"], "oracle": table["oracle"], "prompts": table["prompts"],
        "samples": table["samples"],
    }  # fmt: skip


def card(folder: Path, checkpoint: Path, curve: Path, scenes: int) -> str:
    """Evaluates the folder (evaluation.json) and fills in the text."""
    saved = load_checkpoint(checkpoint)
    raw = saved["config"]
    config = TrainConfig(**{**raw, "model": ModelConfig.from_dict(raw["model"])})
    m = config.model
    report = {"schemaVersion": 1, "scenes": scenes, "worlds": evaluate(DualEncoderOnnx(folder), scenes)}
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    model = DualEncoder(m)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    heads = sum(p.numel() for p in (*model.patch_class.parameters(), *model.patch_color.parameters()))
    names = ("generator's world", "all training drawings, free layout, varied backgrounds",
             "all training drawings, snapped, plain")  # fmt: skip
    atlas = World(WORLDS[0][0], 0).atlas
    trainable = sum(len(atlas.trainable(c)) for c in range(m.classes))
    return _TEXT.format(
        size=sum(f["bytes"] for f in manifest["files"].values()) / 2**20,
        dim=m.projection_dim, width=m.vision_width, slots=m.slots, vision_layers=m.vision_layers,
        text_layers=m.text_layers, text_width=m.text_width,
        scale=float(saved["model"]["logit_scale"].exp()),
        image_mflops=manifest["flops"]["image"] / 1e6, text_mflops=manifest["flops"]["text"] / 1e6,
        worlds="; ".join(f"{share:.0%} {name}" for (_, share), name in zip(WORLDS, names))
        + f" ({trainable} drawings)",
        drawn=2000 * config.chunks,
        parameters=(sum(p.numel() for p in model.parameters()) - heads) / 1e6,
        steps=config.steps, atom_weight=config.atom_weight,
        images=saved["images"], rate=config.learning_rate, ema=config.ema, seed=config.seed,
        negatives=config.text_negatives, degraded=config.degraded,
        last=curve.read_text(encoding="utf-8").splitlines()[-1],
        scenes=scenes, half=scenes // 2, table=as_markdown(report["worlds"]), **agreement(),
    )  # fmt: skip


def main() -> None:
    from .train import CURVE

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument(
        "--checkpoint", type=Path, default=TRAINING_ROOT / "checkpoints" / "dual-encoder" / "checkpoint.pt"
    )
    parser.add_argument("--curve", type=Path, default=CURVE)
    parser.add_argument("--scenes", type=int, default=1000)
    args = parser.parse_args()
    text = card(args.model, args.checkpoint, args.curve, args.scenes)
    (args.model / "card.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
