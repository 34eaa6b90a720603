"""The server's loop over Infinity: what a call may ask for, and how it begins and is encoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ttsvar.infinity.serving.description import describe, describe_traits
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, Request
from ttsvar.infinity.serving.settings import resolve_settings
from ttsvar.infinity.serving.shape import Shape
from ttsvar.serve.errors import invalid
from ttsvar.serve.fields import Fields, is_integer, is_text
from ttsvar.serve.wire import take_bits, wire_bits

LONGEST_PROMPT = 100_000
LONGEST_SEED = 256


class InfinityLoop:
    """One generator (:class:`ttsvar.serve.loop.Loop`)."""

    def __init__(self, network: Network, loaded: Loaded, version: str):
        self.network, self.info = network, describe(loaded, version)
        self._loaded, self._version = loaded, version
        self._shapes = {shape.id: shape for shape in loaded.shapes}

    def traits(self, shape: str, settings: dict) -> dict:
        wanted = self._shape(shape)
        resolved = resolve_settings(wanted.defaults, settings, wanted.scales)
        return describe_traits(self._loaded, self._version, wanted, resolved)

    def task(self, shape: str, settings: dict, fields: Fields) -> Request:
        wanted = self._shape(shape)
        request = Request(
            wanted,
            fields.text("prompt", LONGEST_PROMPT),
            fields.text("negativePrompt", LONGEST_PROMPT, None),
            fields.take("seed", "a whole number or a text", lambda v: is_integer(v) or is_text(v, LONGEST_SEED)),
            resolve_settings(wanted.defaults, settings, wanted.scales),
            take_keep(fields, wanted),
        )
        if fields.object("source", None) is not None:
            raise invalid("this model cannot start from an image (task.source)")
        # Of use to other models, and to rewards.
        fields.take("label", "a whole number from 0", lambda value: is_integer(value) and value >= 0, None)
        fields.object("metadata", None)
        fields.end()
        return request

    def begin(self, task: Request, ids: Sequence[str]) -> Population:
        return Population.begin(self.network, task, ids)

    def step(self, sessions: Sequence[Population]) -> list[tuple[Population, dict]]:
        return Population.step_all(sessions)

    def encode(self, shape: str, image: np.ndarray) -> list[dict]:
        wanted, stride = self._shape(shape), self._loaded.vae.config.stride
        height, width = (side * stride for side in wanted.latent)
        if image.shape[:2] != (height, width):
            given = f"{image.shape[1]}x{image.shape[0]}"
            raise invalid(f"the encoder takes images of {width}x{height} (width x height), not {given}")
        return [wire_bits(bits, wanted.token_channels) for bits in self.network.encode(wanted, image)]

    def _shape(self, wanted: str) -> Shape:
        if wanted not in self._shapes:
            raise invalid(f"this model has no shape {wanted!r}; it has {', '.join(self._shapes)}")
        return self._shapes[wanted]


def take_keep(fields: Fields, shape: Shape) -> list[np.ndarray] | None:
    given = fields.list("keep", "objects {count, base64}, one per stage", lambda value: isinstance(value, dict), None)
    if given is None:
        return None
    if len(given) > shape.scales:
        raise invalid(f"kept tokens of {len(given)} stages are given, but the model has {shape.scales}")
    return [
        take_bits(Fields(tokens, f"kept tokens of stage {scale}"), shape.schedule.lengths[scale], shape.token_channels)
        for scale, tokens in enumerate(given)
    ]
