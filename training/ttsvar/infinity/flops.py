"""FLOPs (2 per multiply-accumulate) of everything but the transformer's steps, which follow from the architecture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from ttsvar.infinity.generator import Bundle
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.vae import Vae
from ttsvar.text.encoder import TextEncoder

NOMINAL_TOKENS = 8


@torch.no_grad()
def _count(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def flops(bundle: Bundle) -> dict[str, int]:
    """Per prompt (text encoder, and conditioning of both guidance groups) and per decoded latent cell."""
    generator = bundle.generator
    return module_flops(generator.text, generator.model, bundle.vae, bundle.quantizer.grids[-1], NOMINAL_TOKENS)


def module_flops(text: TextEncoder, model: Infinity, vae: Vae, grid: tuple[int, int], tokens: int) -> dict[str, int]:
    """The same for modules on any device, also ``meta``; ``grid`` is the latent grid that is decoded."""
    device = model.pos_start.device
    states = torch.zeros(2, tokens, model.config.text_channels, device=device)
    latent = torch.zeros(1, vae.config.channels, *grid, device=device)
    ids = torch.ones(1, tokens, dtype=torch.long, device=device)
    return {
        "nominalTokens": tokens,
        "text": _count(lambda: text(ids)),
        "condition": _count(lambda: model.condition(states, torch.zeros(2, 1, 1, tokens, device=device))),
        "decodePerLatentCell": round(_count(lambda: vae.decode(latent)) / (grid[0] * grid[1])),
    }
