"""What a client has to know before it starts: identity and shapes, and for one shape under given settings everything
that a search is planned with."""

from __future__ import annotations

from ttsvar.infinity.flops import stage_costs
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.settings import describe_settings
from ttsvar.infinity.serving.shape import Settings, Shape

# Of the contract that the traits follow.
SPECIFICATION = 2


def describe(loaded: Loaded, version: str) -> dict:
    return {
        "name": loaded.name,
        "version": version,
        "shapes": [
            {
                "id": shape.id, **sides(loaded, shape),
                **({} if shape.label is None else {"label": shape.label}),
            }
            for shape in loaded.shapes
        ],
    }  # fmt: skip


def describe_traits(loaded: Loaded, version: str, shape: Shape, settings: Settings) -> dict:
    """The traits of a generator as plain data: the same as of its exported folder, but for what its memory is."""
    flops, grids = loaded.flops, shape.schedule.scales
    costs = stage_costs(loaded.model.config, shape.schedule, flops["nominalTokens"])
    height, width = shape.latent
    return {
        "specificationVersion": SPECIFICATION,
        "name": loaded.name,
        "version": version,
        "shape": {"id": shape.id, **sides(loaded, shape), "frames": 1, "grain": loaded.vae.config.stride},
        "stages": [
            {"index": index, "label": f"{h}x{w}", "tokens": h * w, "final": 1} for index, (h, w) in enumerate(grids)
        ],
        "tokens": {"kind": "bits", "width": shape.token_channels},
        "looks": ["now"],
        "can": ["keep", "log-prob", "negative-prompt", "encode"],
        "cost": {
            "prompt": flops["text"] + flops["condition"],
            "stages": [
                cost["guided" if scale < settings.guidance_until else "unguided"] for scale, cost in enumerate(costs)
            ],
            "shared": 1,
            "views": {"now": flops["decodePerLatentCell"] * height * width},
        },
        # The device is this machine's: it is none of the memory that the client plans.
        "memory": None,
        "settings": describe_settings(settings),
    }


def sides(loaded: Loaded, shape: Shape) -> dict:
    """In pixels."""
    (height, width), stride = shape.latent, loaded.vae.config.stride
    return {"width": width * stride, "height": height * stride}
