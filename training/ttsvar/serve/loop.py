"""A generator as the server sees it: candidates that are begun, stepped, picked, viewed and told as tokens.

A family implements this once (``ttsvar/infinity/serving/loop.py``); sessions, HTTP and the protocol know nothing else.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np

from ttsvar.serve.fields import Fields
from ttsvar.serve.wire import Picture


class Candidates(Protocol):
    """Candidates of one task between two stages. A value: every change gives another one."""

    @property
    def stage(self) -> int:
        """Stages done."""
        ...

    @property
    def alike(self) -> Hashable:
        """Candidates of several sessions with equal values may be stepped together; None: alone."""
        ...

    def pick(self, picks: Sequence[tuple[int, str]]) -> Candidates:
        """Candidates (row, new id), in the given order."""
        ...

    def view(self, rows: Sequence[int], size: float, look: str) -> list[Picture]:
        """What rows look like, at a share of the full sides; ``look`` is ``now`` or ``ahead``."""
        ...

    def tokens(self, rows: Sequence[int], stage: int) -> list[dict]:
        """What rows wrote in a stage that is done, as it goes over the wire."""
        ...


class Loop(Protocol):
    """A generator that is ready to begin. Everything raises a ServeError for what this generator cannot do."""

    @property
    def info(self) -> dict:
        """``name``, ``version`` (it names the weights and how they are computed) and ``shapes``."""
        ...

    def traits(self, shape: str, settings: dict) -> dict:
        """All that a client plans with. Answered while the device is busy."""
        ...

    def task(self, shape: str, settings: dict, fields: Fields) -> Any:
        """What to make, from the ``task`` of a call."""
        ...

    def begin(self, task: Any, ids: Sequence[str]) -> Candidates: ...

    def step(self, sessions: Sequence[Candidates]) -> list[tuple[Candidates, dict]]:
        """The candidates of each session one stage on, and what its client is told of it: ``tokenHash`` and ``values``.
        Of several sessions, all are ``alike``."""
        ...

    def encode(self, shape: str, image: np.ndarray) -> list[dict]:
        """Tokens of an image by stage, as they go over the wire."""
        ...
