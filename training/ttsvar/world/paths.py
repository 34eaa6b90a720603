"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

TRAINING_ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = TRAINING_ROOT.parent
CACHE = TRAINING_ROOT / "cache"
ICONS = TRAINING_ROOT / "icons"
MODELS = REPOSITORY / "models"
