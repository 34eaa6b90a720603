"""What a client has to know before it starts: scales, costs, defaults, identity (``GET /v1/info``)."""

from __future__ import annotations

from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.shape import Shape

PROTOCOL = "tts-var-sampler/1"


def row_flops(config: InfinityConfig, tokens: int, past: int, text_tokens: int) -> int:
    """FLOPs of a scale for one candidate and one branch, as ``src/generators/next-scale/infinity/cost.ts`` counts them."""
    linear = 2 * config.depth * tokens * (6 * config.width**2 + 2 * config.width * config.hidden)
    own = 4 * config.depth * tokens * (past + tokens) * config.width
    cross = 4 * config.depth * tokens * text_tokens * config.width
    return linear + own + cross + 4 * tokens * config.width * config.token_channels


def stage_costs(config: InfinityConfig, schedule: Schedule, text_tokens: int) -> list[dict[str, int]]:
    costs, past = [], 0
    for tokens in schedule.lengths:
        flops = row_flops(config, tokens, past, text_tokens)
        costs.append({"guided": 2 * flops, "unguided": flops})
        past += tokens
    return costs


def describe(loaded: Loaded, version: str) -> dict:
    return {
        "protocol": PROTOCOL,
        "name": loaded.name,
        "version": version,
        "pixelsPerLatent": loaded.vae.config.stride,
        "bitsPerToken": loaded.shapes[0].token_channels,
        "encodes": True,
        "schedules": [describe_shape(loaded, shape) for shape in loaded.shapes],
    }


def describe_shape(loaded: Loaded, shape: Shape) -> dict:
    flops, defaults = loaded.flops, shape.defaults
    height, width = shape.latent
    return {
        "id": shape.id,
        "scales": [{"h": h, "w": w} for h, w in shape.schedule.scales],
        "latent": {"h": height, "w": width},
        "defaults": {
            "guidance": list(defaults.guidance), "temperature": list(defaults.temperature), "topP": defaults.top_p,
            "guidanceUntil": defaults.guidance_until,
            **({} if defaults.top_k is None else {"topK": defaults.top_k}),
        },
        "cost": {
            "text": flops["text"] + flops["condition"],
            "stages": stage_costs(loaded.model.config, shape.schedule, flops["nominalTokens"]),
            "sharedStages": 1,
            "decodePerCell": flops["decodePerLatentCell"],
        },
    }  # fmt: skip
