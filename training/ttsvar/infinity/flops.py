"""FLOPs (2 per multiply-accumulate) of everything but the transformer's steps, which follow from the architecture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from ttsvar.infinity.generator import Bundle

NOMINAL_TOKENS = 8


@torch.no_grad()
def _count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def flops(bundle: Bundle) -> dict[str, int]:
    """Per prompt (text encoder, and conditioning of both guidance groups) and per decoded latent cell."""
    generator, channels = bundle.generator, bundle.vae.config.channels
    model = generator.model
    states = torch.zeros(2, NOMINAL_TOKENS, model.config.text_channels)
    height, width = bundle.quantizer.grids[-1]
    latent = torch.zeros(1, channels, height, width)
    return {
        "nominalTokens": NOMINAL_TOKENS,
        "text": _count(lambda: generator.text(torch.ones(1, NOMINAL_TOKENS, dtype=torch.long))),
        "condition": _count(lambda: model.condition(states, torch.zeros(2, 1, 1, NOMINAL_TOKENS))),
        "decodePerLatentCell": round(_count(lambda: bundle.vae.decode(latent)) / (height * width)),
    }
