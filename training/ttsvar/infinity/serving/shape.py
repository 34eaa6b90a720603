"""Aspect ratios and sizes of a generator, and the settings of its proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.schedule import Schedule


@dataclass(frozen=True)
class Settings:
    """Lists have one value per scale; from scale ``guidance_until`` on, the unconditional branch is left out.
    ``top_k`` 1 takes the likelier value of every bit; more do not limit anything."""

    guidance: Sequence[float]
    temperature: Sequence[float]
    top_p: float
    guidance_until: int
    top_k: int | None = None


@dataclass(frozen=True)
class Shape:
    """One aspect ratio and size. ``label``: what the model calls the size, such as 0.25M."""

    id: str
    schedule: Schedule
    quantizer: BitQuantizer
    defaults: Settings
    label: str | None = None

    @property
    def scales(self) -> int:
        return len(self.schedule.scales)

    @property
    def latent(self) -> tuple[int, int]:
        """Grid that the decoder reads at full size."""
        return self.schedule.vae_grids[-1]

    @property
    def token_channels(self) -> int:
        """Bits per token."""
        return self.quantizer.dim * (4 if self.schedule.patchify else 1)

    def bit_count(self, scale: int) -> int:
        return self.schedule.lengths[scale] * self.token_channels
