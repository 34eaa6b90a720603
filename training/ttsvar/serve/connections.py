"""Open connections of the server: how long each may take for what, and how many a peer may hold unproven.

A thread of its own reads every connection and waits; the serving loop calls :meth:`Connections.expire`, and hangs up on
those that are late, which ends their thread's wait. So nothing that a client sends, or does not, can hold a thread.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# Seconds for the first request's head; between requests of a client that has proven itself; for a body; to take an answer.
HEAD_SECONDS = 10.0
IDLE_SECONDS = 120.0
BODY_SECONDS = 60.0
ANSWER_SECONDS = 120.0
# When the server stops, for an answer that is ready.
LAST_SECONDS = 5.0
# Connections without a valid request so far: of one peer, and of all together.
MOST_OF_PEER, MOST_UNPROVEN = 32, 96


@dataclass
class _Open:
    peer: str
    deadline: float | None
    proven: bool = False
    # Hung up on; its thread is about to notice.
    dropped: bool = False
    phase: str = "head"


class Connections:
    """Thread-safe. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._lock = clock, threading.Lock()
        self._open: dict[socket.socket, _Open] = {}
        self._stopping = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._open)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def add(self, connection: socket.socket, peer: str) -> None:
        """A new connection. Where too many have not sent a valid request yet, the oldest of them goes rather than the new
        one: they cannot keep a good client out, not even one at their own address."""
        with self._lock:
            now = self._clock()
            # In the order of their coming.
            unproven = [other for other, each in self._open.items() if not each.proven and not each.dropped]
            of_peer = [other for other in unproven if self._open[other].peer == peer]
            for many, most in ((of_peer, MOST_OF_PEER), (unproven, MOST_UNPROVEN)):
                if len(many) >= most:
                    self._open[many[0]].dropped = True
                    hang_up(many[0])
                    break
            self._open[connection] = _Open(peer, now + HEAD_SECONDS)

    def remove(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.pop(connection, None)

    def waits(self, connection: socket.socket) -> None:
        """The connection waits for a request."""
        self._enter(connection, "head", HEAD_SECONDS if not self._open[connection].proven else IDLE_SECONDS)

    def proves(self, connection: socket.socket) -> None:
        """Its request may be served, once the body is there."""
        self._open[connection].proven = True
        self._enter(connection, "body", BODY_SECONDS)

    def works(self, connection: socket.socket) -> None:
        self._enter(connection, "work", None)

    def answers(self, connection: socket.socket) -> None:
        self._enter(connection, "answer", ANSWER_SECONDS)

    def expire(self) -> None:
        """Hangs up on everyone who is late."""
        with self._lock:
            now = self._clock()
            for connection, each in self._open.items():
                if each.deadline is not None and each.deadline < now:
                    hang_up(connection)

    def stop(self) -> None:
        """From now on, requests that are complete are answered and nothing else is waited for."""
        with self._lock:
            self._stopping = True
            for connection, each in self._open.items():
                if each.phase in ("head", "body"):
                    hang_up(connection)
                elif each.phase == "answer":
                    each.deadline = self._clock() + LAST_SECONDS

    def _enter(self, connection: socket.socket, phase: str, seconds: float | None) -> None:
        with self._lock:
            each = self._open[connection]
            if self._stopping and phase == "answer":
                seconds = LAST_SECONDS
            each.phase, each.deadline = phase, None if seconds is None else self._clock() + seconds
            if self._stopping and phase in ("head", "body"):
                hang_up(connection)


def hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was faster
