"""The model types of the official repository, with the VAE and the sampling settings that belong to each."""

from __future__ import annotations

from dataclasses import dataclass

from ttsvar.infinity.model import OFFICIAL_SHAPES, InfinityConfig
from ttsvar.infinity.vae import VaeConfig


@dataclass(frozen=True)
class Variant:
    """``guidance`` and ``temperature`` are the settings of the official notebooks; top-p is 0.97 in all of them."""

    name: str
    transformer: InfinityConfig
    vae: VaeConfig
    patchify: bool = False
    guidance: float = 3.0
    temperature: float = 0.5


def _variant(name: str) -> Variant:
    if name == "infinity_8b":
        vae = VaeConfig.official(14, (1, 2, 4, 4))
        return Variant(name, InfinityConfig.official(name), vae, patchify=True, temperature=1.0)
    return Variant(name, InfinityConfig.official(name), VaeConfig.official())


VARIANTS = {name: _variant(name) for name in OFFICIAL_SHAPES}
