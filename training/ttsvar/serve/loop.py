"""A generator as the server sees it: candidates that are begun, stepped, picked, viewed and told as tokens.

A family implements this once (``ttsvar/infinity/serving/loop.py``); sessions, HTTP and the protocol know nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ttsvar.serve.fields import Fields


class Candidates(Protocol):
    """Candidates of one prompt between two stages. A value: every change gives another one."""

    @property
    def stage(self) -> int:
        """Stages done."""
        ...

    def step(self) -> tuple[Candidates, dict]:
        """All candidates one stage on, and what the client is told of the stage."""
        ...

    def pick(self, picks: Sequence[tuple[int, str]]) -> Candidates:
        """Candidates (row, new id), in the given order."""
        ...

    def view(self, rows: Sequence[int], size: tuple[int, int] | None) -> bytes:
        """Pictures of rows, decoded from latents of ``size`` (height, width; None: in full)."""
        ...

    def tokens(self, row: int) -> dict:
        """What was drawn so far for one candidate."""
        ...


class Loop(Protocol):
    """A generator that is ready to begin."""

    @property
    def info(self) -> dict:
        """What a client is told about the model; its ``version`` names it."""
        ...

    def task(self, fields: Fields) -> Any:
        """What to make, from the fields of a call that the service does not take itself.

        Raises a ServeError for what this generator cannot do.
        """
        ...

    def begin(self, task: Any, ids: Sequence[str]) -> Candidates: ...

    def encode(self, fields: Fields) -> dict:
        """A picture's tokens."""
        ...
