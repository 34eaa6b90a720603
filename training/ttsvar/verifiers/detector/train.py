"""Trains a detector and exports it: python -m ttsvar.verifiers.detector.train --name a [--config cpu|gpu] [--steps N]"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from ...world.paths import CACHE, MODELS, TRAINING_ROOT
from .augment import AugmentConfig
from .data import TrainingData
from .model import Detector, DetectorConfig
from .targets import Targets, loss


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights (steps, not wall-clock)."""

    seed: int
    model: DetectorConfig
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    steps: int = 2000
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.02
    ema: float = 0.995
    size: int = 64


# Two independent judges: other seed, other widths, other degradations.
RECIPES: dict[tuple[str, str], Recipe] = {
    ("a", "cpu"): Recipe(seed=11, model=DetectorConfig(stem=32, fine=64, coarse=160, head=128, depth=4)),
    ("b", "cpu"): Recipe(
        seed=29,
        model=DetectorConfig(stem=24, fine=72, coarse=144, head=144, depth=5),
        augmentation=AugmentConfig(
            rescale=0.5, rescale_min=0.33, blur=0.35, noise=0.4, noise_max=0.06, dct=0.15, tone=0.5, warp=0.35,
            fade=0.25, hybrid=0.08,
        ),
    ),  # fmt: skip
}
for _name in ("a", "b"):
    _base = RECIPES[_name, "cpu"]
    RECIPES[_name, "gpu"] = Recipe(
        seed=_base.seed,
        model=DetectorConfig(stem=48, fine=128, coarse=256, head=256, depth=4),
        augmentation=_base.augmentation,
        steps=20_000,
        batch=256,
        ema=0.999,
    )


def learning_rate(step: int, recipe: Recipe) -> float:
    """Short warm-up, then cosine to 1 %."""
    warm = min(1.0, (step + 1) / 100)
    return recipe.lr * warm * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)))


@torch.no_grad()
def update_ema(average: Detector, model: Detector, decay: float, step: int) -> None:
    """Exponential average of parameters; batch-norm statistics are averaged the same way."""
    decay = min(decay, (1 + step) / (10 + step))
    for a, m in zip(average.state_dict().values(), model.state_dict().values()):
        if a.dtype.is_floating_point:
            a.lerp_(m, 1 - decay)
        else:
            a.copy_(m)


def train(recipe: Recipe, curve: Path, device: str) -> Detector:
    """Runs the recipe; one JSON line of running losses per 50 steps goes to `curve`."""
    torch.manual_seed(recipe.seed)
    data = TrainingData(recipe.size, recipe.batch, recipe.seed, recipe.augmentation)
    model = Detector(recipe.model).to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98))
    curve.parent.mkdir(parents=True, exist_ok=True)
    running: dict[str, float] = {}
    start = time.time()
    with curve.open("w") as log:
        for step in range(recipe.steps):
            x, target = data(step)
            x = x.to(device).contiguous(memory_format=torch.channels_last)
            target = Targets(*(t.to(device) for t in vars(target).values()))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, recipe)
            with torch.autocast(device, torch.bfloat16):
                outputs = model(x)
            total, parts = loss(outputs, target)
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            update_ema(average, model, recipe.ema, step)
            for key, value in parts.items():
                running[key] = value if step == 0 else 0.95 * running[key] + 0.05 * value
            if (step + 1) % 50 == 0:
                row = {"step": step + 1, "images": (step + 1) * recipe.batch}
                row |= {k: round(v, 4) for k, v in running.items()} | {"seconds": round(time.time() - start, 1)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                print(json.dumps(row), flush=True)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", choices=("a", "b"), required=True)
    parser.add_argument("--config", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--steps", type=int, help="override the recipe's number of steps")
    parser.add_argument("--out", type=Path, help="model folder (default: models/detector-NAME)")
    args = parser.parse_args()
    recipe = RECIPES[args.name, args.config]
    if args.steps:
        recipe = Recipe(**{**vars(recipe), "steps": args.steps})
    device = "cuda" if args.config == "gpu" and torch.cuda.is_available() else "cpu"
    model = train(recipe, TRAINING_ROOT / "curves" / f"detector-{args.name}.jsonl", device).cpu()
    checkpoint = CACHE / f"detector-{args.name}.pt"
    torch.save({"model": asdict(recipe.model), "state": model.state_dict(), "seed": recipe.seed}, checkpoint)
    from .calibrate import calibrate_and_export

    calibrate_and_export(checkpoint, args.out or MODELS / f"detector-{args.name}")


if __name__ == "__main__":
    main()
