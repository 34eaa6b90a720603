"""The calls of the protocol, free of HTTP: JSON in, JSON or bytes out."""

from __future__ import annotations

import base64
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.fields import Fields, bits_from, bits_to, is_bits, is_integer, is_text
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, Request, token_hash
from ttsvar.serve.sessions import SessionStore, digest
from ttsvar.infinity.serving.shape import Settings, Shape

LONGEST_PROMPT = 20_000
LONGEST_ID = 256

Answer = dict | bytes


@dataclass(frozen=True)
class Limits:
    """Candidates per session, sessions, bytes of a request, seconds that an unused session lives."""

    rows: int = 64
    sessions: int = 64
    request_bytes: int = 8 * 2**20
    idle_seconds: float = 900.0


class Service:
    """One generator and its sessions. Calls may come from any thread; the device works on one at a time."""

    def __init__(
        self,
        network: Network,
        shapes: Sequence[Shape],
        description: dict,
        limits: Limits,
        sessions: SessionStore | None = None,
    ):
        """``shapes``: the first is the default; ``description``: what a client is told about the model."""
        self.network, self.shapes, self.limits = network, {shape.id: shape for shape in shapes}, limits
        self.sessions = sessions or SessionStore(limits.sessions, limits.idle_seconds)
        self.info = {**description, "limits": {
            "rows": limits.rows, "requestBytes": limits.request_bytes, "idleSeconds": limits.idle_seconds,
        }}  # fmt: skip
        self._device = threading.Lock()
        self._computing = {
            "start": self._start, "step": self._step, "select": self._select, "branch": self._branch,
            "decode": self._decode, "bits": self._bits, "encode": self._encode,
        }  # fmt: skip
        # Answered at once, also while the device is busy.
        self._immediate = {"release": self._release, "touch": self._touch}

    def call(self, method: str, value: Any, body: bytes) -> Answer:
        """Answers one call; ``body`` is what ``value`` was parsed from."""
        fields = Fields(value)
        if method in self._immediate:
            return self._immediate[method](fields)
        if method not in self._computing:
            known = ", ".join([*self._computing, *self._immediate])
            raise ServeError("unknown-method", f"there is no method {method[:40]!r}; known: {known}")
        with self._device:
            try:
                return self._computing[method](fields, digest(method, body))
            except (torch.OutOfMemoryError, MemoryError) as error:
                raise out_of_memory() from error
            except RuntimeError as error:
                # The CPU allocator has no class of its own.
                if "can't allocate memory" in str(error):
                    raise out_of_memory() from error
                raise

    def _start(self, fields: Fields, call: bytes) -> Answer:
        handle = take_handle(fields, "session")
        expected = fields.text("model", 1000)
        if expected != self.info["version"]:
            raise ServeError(
                "model-changed",
                f"this server now runs {self.info['version']}, not {expected[:200]}; plan and run the search again",
            )
        ids = fields.list("ids", "candidate ids", lambda value: is_text(value, LONGEST_ID))
        self._check_width(len(ids))
        shape = self._shape(fields)
        request = Request(
            shape,
            fields.text("prompt", LONGEST_PROMPT),
            fields.text("negativePrompt", LONGEST_PROMPT, None),
            fields.take("seed", "a whole number or a text", lambda v: is_integer(v) or is_text(v, LONGEST_ID)),
            take_settings(fields.inner("settings"), shape.scales),
            take_forced(fields, shape),
        )
        fields.end()
        return self.sessions.open(
            handle, call, lambda: (Population.begin(self.network, request, ids), {"revision": 0})
        )

    def _step(self, fields: Fields, call: bytes) -> Answer:
        handle, revision = take_session(fields)
        fields.end()

        def make(before: Population) -> tuple[Population, dict]:
            after, drawn = before.step()
            return after, {
                "stage": after.stage,
                "logProb": [one.log_prob for one in drawn],
                "entropy": [one.entropy for one in drawn],
                "guidanceGap": [one.guidance_gap for one in drawn],
                "tokenHash": [token_hash(one.bits) for one in drawn],
            }

        return self.sessions.change(handle, revision, call, make)

    def _select(self, fields: Fields, call: bytes) -> Answer:
        handle, revision = take_session(fields)
        picks = self._picks(fields)
        fields.end()
        return self.sessions.change(handle, revision, call, lambda before: (before.pick(picks), {}))

    def _branch(self, fields: Fields, call: bytes) -> Answer:
        handle, revision = take_session(fields)
        branch, picks = take_handle(fields, "branch"), self._picks(fields)
        fields.end()

        def make() -> tuple[Population, dict]:
            return self.sessions.at(handle, revision).population.pick(picks), {"revision": 0}

        return self.sessions.open(branch, call, make)

    def _decode(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        rows = fields.list("rows", "row numbers", is_integer)
        self._check_width(len(rows))
        latent = fields.take("latent", "an object {h, w}", lambda value: isinstance(value, dict), None)
        fields.end()
        population = self.sessions.at(handle, revision).population
        full = population.request.shape.latent
        return population.decode(rows, full if latent is None else take_size(Fields(latent, "latent"), full)).tobytes()

    def _bits(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        row = fields.integer("row", 0)
        fields.end()
        population = self.sessions.at(handle, revision).population
        return {"bits": [bits_to(bits) for bits in population.row(row).bits]}

    def _encode(self, fields: Fields, _call: bytes) -> Answer:
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

    def _release(self, fields: Fields) -> Answer:
        handle = take_handle(fields, "session")
        fields.end()
        self.sessions.release(handle)
        return {}

    def _touch(self, fields: Fields) -> Answer:
        handles = fields.list("sessions", "handles", lambda value: is_text(value, 64))
        fields.end()
        return {"gone": self.sessions.touch(handles)}

    def _check_width(self, count: int) -> None:
        if count < 1:
            raise invalid("at least one candidate is needed")
        if count > self.limits.rows:
            raise ServeError(
                "too-large",
                f"{count} candidates at a time, but this server allows {self.limits.rows}; search with fewer "
                "(--widths, --budget), or start the server with a larger --max-rows",
            )

    def _picks(self, fields: Fields) -> list[tuple[int, str]]:
        values = fields.list("picks", "objects {parent, id}", lambda value: isinstance(value, dict))
        self._check_width(len(values))
        return [take_pick(Fields(value, f"picks[{index}]")) for index, value in enumerate(values)]

    def _shape(self, fields: Fields) -> Shape:
        wanted = fields.text("schedule", 256, None)
        if wanted is None:
            return next(iter(self.shapes.values()))
        if wanted not in self.shapes:
            raise invalid(f"this model has no schedule {wanted!r}; it has {', '.join(self.shapes)}")
        return self.shapes[wanted]


def take_handle(fields: Fields, name: str) -> str:
    def fits(value: Any) -> bool:
        return isinstance(value, str) and 16 <= len(value) <= 64 and value.isascii() and value.isalnum()

    return fields.take(name, "a random handle of 16 to 64 letters and digits", fits)


def take_session(fields: Fields) -> tuple[str, int]:
    return take_handle(fields, "session"), fields.integer("revision", 0)


def take_pick(fields: Fields) -> tuple[int, str]:
    pick = fields.integer("parent", 0), fields.text("id", LONGEST_ID)
    fields.end()
    return pick


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


def take_size(fields: Fields, full: tuple[int, int]) -> tuple[int, int]:
    h, w = fields.integer("h", 1), fields.integer("w", 1)
    fields.end()
    if h > full[0] or w > full[1]:
        raise invalid(f"cannot decode at {h}x{w}: sizes go from 1x1 to the full latent, {full[0]}x{full[1]}")
    return h, w


def out_of_memory() -> ServeError:
    return ServeError(
        "out-of-memory",
        "the server's device has not enough memory for this many candidates at this scale; search with fewer "
        "(--widths, --budget), or end guidance earlier (sampling.guidanceUntil)",
    )
