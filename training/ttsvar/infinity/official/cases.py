"""What is compared with the official module: sizes, shapes of image, texts, and batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.vae import VaeConfig
from ttsvar.infinity.official.variants import VARIANTS, Variant

# The official VAE has a fixed base width of 128 and always two residual blocks, so this is its smallest form.
SMALL_VAE = VaeConfig.official(8, (1, 1, 1, 1, 1))
SMALL_PATCH_VAE = VaeConfig.official(14, (1, 1, 1, 1))
TINY = Variant("tiny", InfinityConfig(4, 64, 4, 256, 32, 8, 2), SMALL_VAE)
PATCHIFY = Variant("tiny_patchify", InfinityConfig(4, 64, 4, 256, 32, 56, 2), SMALL_PATCH_VAE, patchify=True)


@dataclass(frozen=True)
class Case:
    """One comparison.

    text, negative: lengths in tokens, negative None for the learned unconditional text.
    picks: candidates (with repetition) that go on after scale index ``after``; None keeps the batch as it is.
    """

    name: str
    title: str
    variant: Variant = TINY
    schedule: str = "1:1@0.06M"
    text: int = 7
    negative: int | None = None
    batch: int = 1
    picks: tuple[int, ...] | None = None
    after: int = 2


_BASE = (
    Case("tiny", "tiny configuration"),
    Case("layer12", "infinity_layer12 and VAE d32 at their true size", VARIANTS["infinity_layer12"], text=12),
    Case("non-square", "width:height 1:3", schedule="1:3@0.06M"),
    Case("landscape", "width:height 7:4", schedule="7:4@0.06M"),
    Case("patchify", "2x2 patches, d=14, VAE stride 8 (as 8B)", PATCHIFY, schedule="3:2@0.06M"),
    Case("one-token", "text of one token", text=1),
    Case("long-text", "text of the greatest length", text=TINY.transformer.text_max_length),
    Case("negative", "negative prompt of another length", text=5, negative=11),
    Case("batch", "three candidates, one dropped and one duplicated", batch=3, picks=(2, 0, 0)),
)
CASES = {case.name: case for case in _BASE}


def with_size(case: Case, size: str) -> Case:
    """The case at another image size, e.g. ``0.25M``."""
    return replace(case, schedule=f"{case.schedule.split('@')[0]}@{size}")
