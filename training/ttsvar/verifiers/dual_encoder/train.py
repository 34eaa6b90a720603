"""Trains the dual encoder: python -m ttsvar.verifiers.dual_encoder.train --tokenizer tokenizer.json --out checkpoints/dual-encoder"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.world.paths import TRAINING_ROOT

from .atoms import AtomCode
from .augment import augment, degrade, to_pixels
from .config import TRAIN_CONFIGS, ModelConfig, TrainConfig
from .data import Batch, PairSource
from .losses import contrastive, patch_loss
from .model import DualEncoder, load_weights
from .pool import FOLDER, build, load
from .tokens import CaptionTokenizer

CURVE = TRAINING_ROOT / "curves" / "dual-encoder.jsonl"
_ADAM_ONLY = ("embedding", "position", "slots", "patch_", "projection")


def build_optimizers(model: DualEncoder, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and kernels inside the towers, AdamW for embeddings, vectors, heads, first kernel."""

    def is_matrix(name: str, parameter: torch.Tensor) -> bool:
        return parameter.ndim >= 2 and name != "vision.stem.0.weight" and not any(k in name for k in _ADAM_ONLY)

    groups, rest = split_parameters(model, is_matrix, {"qkv.weight": 3})
    adam = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [
        Muon(groups, lr=config.learning_rate, weight_decay=config.weight_decay),
        torch.optim.AdamW(adam, lr=config.learning_rate, betas=(0.9, 0.98)),
    ]


def step_loss(
    model: DualEncoder, batch: Batch, config: TrainConfig, code: AtomCode, g: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One forward pass in bfloat16 -> loss and numbers for the log."""
    device = config.device
    clean = to_pixels(batch.images)
    count = min(config.degraded, len(clean))
    chosen = torch.randperm(len(clean), generator=g)
    # Damaged copies belong to the first rows: put the chosen images first in every per-image tensor.
    donors = clean[chosen.roll(7)][:count]
    damaged = degrade(clean[chosen[:count]], donors, g)
    pixels = torch.cat([augment(clean, g)[chosen], damaged]).to(device, memory_format=torch.channels_last)
    b = len(clean)
    columns = torch.cat([chosen, torch.arange(b, len(batch.ids))])
    ids, mask = batch.ids[columns].to(device), batch.mask[columns].to(device)
    neutral = batch.neutral[chosen][:, columns].to(device)
    with torch.autocast(device, torch.bfloat16):
        image, hidden = model.vision(pixels)
        text = model.text(ids, mask)
        patches = hidden[:b, 1:]
        class_logits, color_logits = model.patch_class(patches), model.patch_color(patches)
    image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
    cosines = image @ text.T
    scale = model.logit_scale.clamp(max=4.6052).exp()
    image_loss, text_loss, hits = contrastive(cosines, neutral, scale)
    aux = patch_loss(class_logits, color_logits, batch.classes[chosen].to(device), batch.colors[chosen].to(device))
    numbers = {"image": image_loss, "text": text_loss, "patch": aux, "hits": hits, "scale": scale}
    loss = 0.5 * (image_loss + text_loss) + config.aux_weight * aux
    if config.atom_weight:
        atoms = batch.atoms[columns].to(device)
        image_atoms, numbers["image_parts"] = code.loss(image[:b], atoms[:b])
        text_atoms, numbers["text_parts"] = code.loss(text, atoms)
        loss = loss + config.atom_weight * (image_atoms + text_atoms)
    return loss, numbers


def train(config: TrainConfig, tokenizer: CaptionTokenizer, out: Path, init: Path | None, curve: Path) -> DualEncoder:
    torch.manual_seed(config.seed)
    torch.set_num_threads(min(config.threads, len(os.sched_getaffinity(0))))
    g = torch.Generator().manual_seed(config.seed)
    model = DualEncoder(config.model)
    earlier = 0
    if init is not None:
        saved = load_checkpoint(init)
        load_weights(model, saved["model"])
        earlier = saved["images"]
    model = model.to(config.device, memory_format=torch.channels_last)
    optimizers = build_optimizers(model, config)
    average = Ema(model)
    code = AtomCode(config.model.projection_dim)
    build(FOLDER, config.chunks)
    source = PairSource(config, tokenizer, load(FOLDER, config.chunks))
    started = time.monotonic()
    sums: dict[str, float] = {}
    images = earlier
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(source.batch, 0)
        for step in range(config.steps):
            batch = upcoming.result()
            if step + 1 < config.steps:
                upcoming = pool.submit(source.batch, step + 1)
            rate = config.learning_rate * cosine(step / config.steps, config.warmup, config.final_fraction)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
            loss, numbers = step_loss(model, batch, config, code, g)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            for optimizer in optimizers:
                optimizer.step()
            images += len(batch.images)
            if step % config.ema_every == 0:
                average.update(model, min(config.ema, (1 + step) / (10 + step)))
            for key, value in numbers.items():
                sums[key] = sums.get(key, 0.0) + value.item()
            if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
                n = (step % config.log_every) + 1
                record = {"step": step + 1, "images": images, "seconds": round(time.monotonic() - started, 1)}
                record |= {k: round(v / n, 4) for k, v in sums.items()}
                sums.clear()
                append_json(curve, record)
                print(record, flush=True)
                if (step + 1) % (10 * config.log_every) == 0:
                    _save(out, average, config, images)
    _save(out, average, config, images)
    model.load_state_dict(average.state_dict())
    return model.eval()


def _save(out: Path, average: Ema, config: TrainConfig, images: int) -> None:
    payload = {"model": average.state_dict(), "config": asdict(config), "images": images}
    save_checkpoint(out / "checkpoint.pt", payload)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=sorted(TRAIN_CONFIGS), default="cpu")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the project")
    parser.add_argument("--out", type=Path, default=TRAINING_ROOT / "checkpoints" / "dual-encoder")
    parser.add_argument("--init", type=Path, help="checkpoint to continue from (new schedule)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--atom-weight", type=float)
    parser.add_argument("--pairs", type=int, help="image pairs a batch")
    parser.add_argument("--degraded", type=int, help="damaged copies a batch")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--chunks", type=int, help="size of the pool in chunks of 1000 pairs")
    parser.add_argument("--slots-only", action="store_true", help="pool without the quadrant means")
    parser.add_argument("--curve", type=Path, default=CURVE)
    args = parser.parse_args()
    tokenizer = CaptionTokenizer(args.tokenizer)
    base = TRAIN_CONFIGS[args.config]
    model: ModelConfig = replace(base.model, vocab_size=tokenizer.vocab_size, quadrants=not args.slots_only)
    options = ("steps", "learning_rate", "atom_weight", "pairs", "degraded", "seed", "chunks")
    given = {k: getattr(args, k) for k in options}
    config = replace(base, model=model, **{k: v for k, v in given.items() if v is not None})
    args.curve.parent.mkdir(parents=True, exist_ok=True)
    if args.init is None:
        args.curve.write_text("")
    train(config, tokenizer, args.out, args.init, args.curve)


if __name__ == "__main__":
    main()
