"""What a client has to know before it starts: scales, costs, defaults, identity (``GET /v1/info``)."""

from __future__ import annotations

from ttsvar.infinity.flops import stage_costs
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.shape import Shape

PROTOCOL = "tts-var-sampler/1"


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
