"""The calls of the protocol, free of HTTP: JSON in, JSON or bytes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import torch

from ttsvar.serve.errors import ServeError, invalid
from ttsvar.serve.fields import Fields, is_integer, is_text
from ttsvar.serve.loop import Candidates, Loop
from ttsvar.serve.protocol import PROTOCOL
from ttsvar.serve.sessions import SessionStore, digest
from ttsvar.serve.together import Together
from ttsvar.serve.wire import bytes_of_pictures, take_image

LONGEST_ID = 256
# Calls that no generator behind this server has.
CAPABILITIES = ("refine", "rewind")

Answer = dict | bytes


@dataclass(frozen=True)
class Limits:
    """Candidates per session, sessions, bytes of a request, seconds that an unused session lives."""

    rows: int = 64
    sessions: int = 64
    request_bytes: int = 8 * 2**20
    idle_seconds: float = 900.0


class Service:
    """One generator and its sessions. Calls may come from any thread. The device works on one at a time, except for steps
    of several sessions that are alike, which it makes together."""

    def __init__(self, loop: Loop, limits: Limits, sessions: SessionStore | None = None):
        self.loop, self.limits = loop, limits
        self.sessions = sessions or SessionStore(limits.sessions, limits.idle_seconds)
        self.info = {"protocol": PROTOCOL, **loop.info, "limits": {
            "rows": limits.rows, "requestBytes": limits.request_bytes, "idleSeconds": limits.idle_seconds,
        }}  # fmt: skip
        self._device = threading.Lock()
        self._together = Together(self._device, loop.step)
        self._computing = {
            "start": self._start, "step": self._step, "select": self._select, "branch": self._branch,
            "view": self._view, "tokens": self._tokens, "encode": self._encode,
        }  # fmt: skip
        # Answered at once, also while the device is busy.
        self._immediate = {"traits": self._traits, "release": self._release, "touch": self._touch}

    def call(self, method: str, value: Any, body: bytes) -> Answer:
        """Answers one call; ``body`` is what ``value`` was parsed from."""
        fields = Fields(value)
        if method in self._immediate:
            return self._immediate[method](fields)
        if method not in self._computing:
            if method in CAPABILITIES:
                raise ServeError("unknown-method", f"this model cannot {method}")
            known = ", ".join([*self._computing, *self._immediate])
            raise ServeError("unknown-method", f"there is no method {method[:40]!r}; known: {known}")
        try:
            return self._computing[method](fields, digest(method, body))
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise out_of_memory() from error
        except RuntimeError as error:
            # The CPU allocator has no class of its own.
            if "can't allocate memory" in str(error):
                raise out_of_memory() from error
            raise

    def _traits(self, fields: Fields) -> Answer:
        shape, settings = take_form(fields)
        fields.end()
        return {"traits": self.loop.traits(shape, settings)}

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
        (shape, settings), wanted = take_form(fields), fields.inner("task")
        fields.end()
        task = self.loop.task(shape, settings, wanted)

        def make() -> tuple[Candidates, dict]:
            with self._device:
                return self.loop.begin(task, ids), {"revision": 0}

        return self.sessions.open(handle, call, make)

    def _step(self, fields: Fields, call: bytes) -> Answer:
        handle, revision = take_session(fields)
        fields.end()

        def make(before: Candidates) -> tuple[Candidates, dict]:
            after, told = self._together.step(before)
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

    def _view(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        rows, view = self._rows(fields), fields.inner("view")
        fields.end()
        size = view.share("size")
        look = view.take("look", "now or ahead", lambda value: value in ("now", "ahead"))
        view.end()
        candidates = self.sessions.at(handle, revision).candidates
        with self._device:
            return bytes_of_pictures(candidates.view(rows, size, look))

    def _tokens(self, fields: Fields, _call: bytes) -> Answer:
        handle, revision = take_session(fields)
        rows, stage = self._rows(fields), fields.integer("stage", 0)
        fields.end()
        return {"tokens": self.sessions.at(handle, revision).candidates.tokens(rows, stage)}

    def _encode(self, fields: Fields, _call: bytes) -> Answer:
        shape, image = fields.text("shape", LONGEST_ID), fields.inner("image")
        fields.end()
        pixels = take_image(image)
        with self._device:
            return {"tokens": self.loop.encode(shape, pixels)}

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

    def _rows(self, fields: Fields) -> list[int]:
        rows = fields.list("rows", "row numbers", is_integer)
        self._check_width(len(rows))
        return rows

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


def take_form(fields: Fields) -> tuple[str, dict]:
    """A shape's id, and settings as they were configured."""
    return fields.text("shape", LONGEST_ID), fields.object("settings")


def out_of_memory() -> ServeError:
    return ServeError(
        "out-of-memory",
        "the server's device has not enough memory for this many candidates at this scale; search with fewer "
        "(--widths, --budget), or end guidance earlier (model.options.guidanceUntil)",
    )
