"""Sizes of the dual encoder and its training presets (CPU by default, GPU as an option)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Both towers. ``grid`` tokens a side come out of the stem (image_size / 8)."""

    image_size: int = 64
    grid: int = 8
    stem: tuple[int, int] = (32, 64)
    vision_width: int = 192
    vision_layers: int = 3
    vision_heads: int = 3
    slots: int = 4
    quadrants: bool = True
    text_width: int = 160
    text_layers: int = 2
    text_heads: int = 4
    vocab_size: int = 128
    context_length: int = 16
    mlp_ratio: int = 3
    projection_dim: int = 128
    classes: int = 80
    colors: int = 10
    logit_scale_init: float = 2.6592

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        values = dict(values)
        values["stem"] = tuple(values["stem"])
        return cls(**values)


@dataclass(frozen=True)
class TrainConfig:
    """One training run; the schedule counts steps, never seconds."""

    steps: int = 1400
    pairs: int = 48
    degraded: int = 16
    text_negatives: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.04
    final_fraction: float = 0.02
    aux_weight: float = 0.5
    atom_weight: float = 0.25
    ema: float = 0.99
    ema_every: int = 4
    chunks: int = 32
    seed: int = 20_240_611
    threads: int = 2
    device: str = "cpu"
    log_every: int = 50
    model: ModelConfig = field(default_factory=ModelConfig)


TRAIN_CONFIGS: dict[str, TrainConfig] = {
    "cpu": TrainConfig(),
    "gpu": TrainConfig(
        steps=12_000,
        pairs=256,
        degraded=64,
        chunks=120,
        learning_rate=3e-3,
        warmup=0.03,
        threads=8,
        device="cuda",
        model=ModelConfig(stem=(48, 128), vision_width=256, vision_layers=4, vision_heads=8),
    ),
}
