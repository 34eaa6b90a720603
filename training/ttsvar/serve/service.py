"""The calls of the protocol, free of HTTP: JSON in, JSON or bytes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch

from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.fields import Fields, is_integer, is_text
from ttsvar.serve.loop import Candidates, Loop
from ttsvar.serve.sessions import SessionStore, digest

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

    def __init__(self, loop: Loop, limits: Limits, sessions: SessionStore | None = None):
        self.loop, self.limits = loop, limits
        self.sessions = sessions or SessionStore(limits.sessions, limits.idle_seconds)
        self.info = {**loop.info, "limits": {
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
        task = self.loop.task(fields)
        fields.end()
        return self.sessions.open(handle, call, lambda: (self.loop.begin(task, ids), {"revision": 0}))

    def _step(self, fields: Fields, call: bytes) -> Answer:
        handle, revision = take_session(fields)
        fields.end()

        def make(before: Candidates) -> tuple[Candidates, dict]:
            after, told = before.step()
            return after, {"stage": after.stage, **told}

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

        def make() -> tuple[Candidates, dict]:
            return self.sessions.at(handle, revision).candidates.pick(picks), {"revision": 0}

        return self.sessions.open(branch, call, make)

    def _decode(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        rows = fields.list("rows", "row numbers", is_integer)
        self._check_width(len(rows))
        latent = fields.take("latent", "an object {h, w}", lambda value: isinstance(value, dict), None)
        fields.end()
        size = None if latent is None else take_size(Fields(latent, "latent"))
        return self.sessions.at(handle, revision).candidates.view(rows, size)

    def _bits(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        row = fields.integer("row", 0)
        fields.end()
        return self.sessions.at(handle, revision).candidates.tokens(row)

    def _encode(self, fields: Fields, _call: bytes) -> Answer:
        return self.loop.encode(fields)

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


def take_size(fields: Fields) -> tuple[int, int]:
    size = fields.integer("h", 1), fields.integer("w", 1)
    fields.end()
    return size


def out_of_memory() -> ServeError:
    return ServeError(
        "out-of-memory",
        "the server's device has not enough memory for this many candidates at this scale; search with fewer "
        "(--widths, --budget), or end guidance earlier (sampling.guidanceUntil)",
    )
