"""The server's loop over Infinity: what a call may ask for, and how it begins and is encoded."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, Request
from ttsvar.infinity.serving.shape import Settings, Shape
from ttsvar.serve.errors import invalid
from ttsvar.serve.fields import Fields, bits_from, bits_to, is_bits, is_integer, is_text

LONGEST_PROMPT = 20_000
LONGEST_SEED = 256


class InfinityLoop:
    """One generator (:class:`ttsvar.serve.loop.Loop`)."""

    def __init__(self, network: Network, shapes: Sequence[Shape], info: dict):
        """``shapes``: the first is the default; ``info``: what a client is told about the model."""
        self.network, self.info = network, info
        self.shapes = {shape.id: shape for shape in shapes}

    def task(self, fields: Fields) -> Request:
        shape = self._shape(fields)
        return Request(
            shape,
            fields.text("prompt", LONGEST_PROMPT),
            fields.text("negativePrompt", LONGEST_PROMPT, None),
            fields.take("seed", "a whole number or a text", lambda v: is_integer(v) or is_text(v, LONGEST_SEED)),
            take_settings(fields.inner("settings"), shape.scales),
            take_forced(fields, shape),
        )

    def begin(self, task: Request, ids: Sequence[str]) -> Population:
        return Population.begin(self.network, task, ids)

    def encode(self, fields: Fields) -> dict:
        shape = self._shape(fields)
        width, height = fields.integer("width", 1), fields.integer("height", 1)
        pixels = fields.take("pixels", "base64 of width * height * 3 bytes", lambda value: isinstance(value, str))
        fields.end()
        stride = self.info["pixelsPerLatent"]
        wanted = (shape.latent[0] * stride, shape.latent[1] * stride)
        if (height, width) != wanted:
            raise invalid(f"the image is {width}x{height}, but this shape is {wanted[1]}x{wanted[0]} (width x height)")
        try:
            data = np.frombuffer(base64.b64decode(pixels, validate=True), np.uint8)
        except ValueError as error:
            raise invalid("pixels is no base64") from error
        if len(data) != height * width * 3:
            raise invalid(f"pixels has {len(data)} bytes, but {height * width * 3} are needed")
        image = data.reshape(height, width, 3).copy()
        return {"bits": [bits_to(bits) for bits in self.network.encode(shape, image)]}

    def _shape(self, fields: Fields) -> Shape:
        wanted = fields.text("schedule", 256, None)
        if wanted is None:
            return next(iter(self.shapes.values()))
        if wanted not in self.shapes:
            raise invalid(f"this model has no schedule {wanted!r}; it has {', '.join(self.shapes)}")
        return self.shapes[wanted]


def take_settings(fields: Fields, scales: int) -> Settings:
    lists = {name: fields.numbers(name) for name in ("guidance", "temperature")}
    for name, values in lists.items():
        if len(values) != scales:
            raise invalid(f"sampling.{name} has {len(values)} values, but the model has {scales} scales")
    if min(lists["temperature"]) <= 0:
        raise invalid("sampling.temperature must be above 0")
    top_p = fields.number("topP")
    if not 0 < top_p <= 1:
        raise invalid(f"sampling.topP must be in (0, 1], not {top_p}")
    until = fields.integer("guidanceUntil", 0)
    top_k = fields.take("topK", "a whole number from 1", lambda value: is_integer(value) and value >= 1, None)
    fields.end()
    return Settings(lists["guidance"], lists["temperature"], top_p, until, top_k)


def take_forced(fields: Fields, shape: Shape) -> list[np.ndarray] | None:
    texts = fields.list("forcedBits", "texts of 0 and 1, one per scale", is_bits, None)
    if texts is None:
        return None
    if len(texts) > shape.scales:
        raise invalid(f"forced bits of {len(texts)} scales are given, but the model has {shape.scales}")
    for scale, text in enumerate(texts):
        needed = shape.bit_count(scale)
        if len(text) != needed:
            raise invalid(f"forced bits of scale {scale}: {len(text)} given, {needed} needed")
    return [bits_from(text) for text in texts]
