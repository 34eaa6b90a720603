"""Dual encoder in CLIP format: image and caption meet in one 128-dimensional space."""

from .config import TRAIN_CONFIGS, ModelConfig, TrainConfig
from .model import DualEncoder

__all__ = ["TRAIN_CONFIGS", "DualEncoder", "ModelConfig", "TrainConfig"]
