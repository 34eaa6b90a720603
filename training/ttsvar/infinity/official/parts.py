"""The three networks of a model folder on ``meta``, with the sources of their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ttsvar.infinity.model import Infinity
from ttsvar.infinity.vae import Vae
from ttsvar.infinity.official.keys import shapes_of, text_source, transformer_source, vae_source
from ttsvar.infinity.official.tensors import TensorSource, random_source
from ttsvar.infinity.official.variants import Variant
from ttsvar.text.encoder import TextConfig, TextEncoder


@dataclass(frozen=True)
class Parts:
    """Modules without values, and their weights under our names, checked."""

    variant: Variant
    transformer: Infinity
    vae: Vae
    text: TextEncoder
    text_config: TextConfig
    transformer_weights: TensorSource
    vae_weights: TensorSource
    text_weights: TensorSource

    def fresh(self) -> Parts:
        """The same with new modules, for uses that consume them."""
        return Parts(
            self.variant, *_modules(self.variant, self.text_config), self.text_config, self.transformer_weights,
            self.vae_weights, self.text_weights,
        )  # fmt: skip


def assemble(
    variant: Variant,
    text_config: TextConfig,
    transformer: TensorSource | None,
    vae: TensorSource | None,
    text: TensorSource | None,
    seed: int = 0,
) -> Parts:
    """Check the given sources; what is None gets random weights from ``seed``."""
    modules = _modules(variant, text_config)
    model, autoencoder, encoder = modules
    return Parts(
        variant, *modules, text_config,
        transformer_source(transformer, variant, model) if transformer else random_source(shapes_of(model), seed),
        vae_source(vae, autoencoder) if vae else random_source(shapes_of(autoencoder), seed + 1),
        text_source(text, encoder) if text else random_source(shapes_of(encoder), seed + 2),
    )  # fmt: skip


def _modules(variant: Variant, text_config: TextConfig) -> tuple[Infinity, Vae, TextEncoder]:
    with torch.device("meta"):
        modules = Infinity(variant.transformer), Vae(variant.vae), TextEncoder(text_config)
    for module in modules:
        module.eval().requires_grad_(False)
    return modules
