"""FLOPs (2 per multiply-accumulate): of the transformer's stages by formula, of everything else counted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from ttsvar.infinity.generator import Bundle
from ttsvar.infinity.model import Infinity, InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae
from ttsvar.text.encoder import TextEncoder

NOMINAL_TOKENS = 8


@torch.no_grad()
def count_flops(run: Callable[[], object]) -> int:
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
        "text": count_flops(lambda: text(ids)),
        "condition": count_flops(lambda: model.condition(states, torch.zeros(2, 1, 1, tokens, device=device))),
        "decodePerLatentCell": round(count_flops(lambda: vae.decode(latent)) / (grid[0] * grid[1])),
    }


def row_flops(config: InfinityConfig, tokens: int, past: int, text_tokens: int) -> int:
    """FLOPs of a scale for one candidate and one branch, without norms, softmax and other elementwise work: projections
    and feed-forward, attention to itself and to the text, word embedding and head."""
    linear = 2 * config.depth * tokens * (6 * config.width**2 + 2 * config.width * config.hidden)
    own = 4 * config.depth * tokens * (past + tokens) * config.width
    cross = 4 * config.depth * tokens * text_tokens * config.width
    return linear + own + cross + 4 * tokens * config.width * config.token_channels


def stage_costs(config: InfinityConfig, schedule: Schedule, text_tokens: int) -> list[dict[str, int]]:
    """FLOPs of every stage for one candidate, with both guidance branches and with one. The only place that computes them:
    manifests and the traits of served generators carry this table."""
    costs, past = [], 0
    for tokens in schedule.lengths:
        flops = row_flops(config, tokens, past, text_tokens)
        costs.append({"guided": 2 * flops, "unguided": flops})
        past += tokens
    return costs
