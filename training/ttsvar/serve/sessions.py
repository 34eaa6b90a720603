"""Sessions under handles that clients choose, with revisions that make every call safe to repeat.

A session's revision counts its changes. A call names the revision that it expects; the call that led to the current
revision may come again, byte for byte, and gets the same answer again. So a client whose connection broke can repeat
a ``step`` without ever advancing twice.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ttsvar.serve.errors import ServeError
from ttsvar.serve.loop import Candidates


@dataclass
class Session:
    candidates: Candidates
    # The call that made the current revision, and what was answered.
    call: bytes
    answer: dict
    revision: int = 0
    touched: float = 0.0
    # While a change is computed, which may take longer than a session may be idle.
    busy: bool = False
    # One call after the other; taken before the device.
    lock: threading.Lock = field(default_factory=threading.Lock)


def digest(method: str, body: bytes) -> bytes:
    return hashlib.sha256(method.encode() + b"\0" + body).digest()


class SessionStore:
    """Thread-safe. ``clock`` gives seconds; sessions that nobody touched for ``idle_seconds`` are dropped."""

    def __init__(self, most: int, idle_seconds: float, clock: Callable[[], float] = time.monotonic):
        self.most, self.idle_seconds, self._clock = most, idle_seconds, clock
        self._sessions: dict[str, Session] = {}
        self._lock, self._opening = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, handle: str) -> Session:
        self.expire()
        with self._lock:
            session = self._sessions.get(handle)
            if session is None:
                raise ServeError(
                    "unknown-session",
                    f"there is no session {handle[:8]}...: it was released, idle for more than {self.idle_seconds:g} s "
                    "(--idle-seconds), or the server was started anew; run the search again",
                )
            session.touched = self._clock()
            return session

    def open(self, handle: str, call: bytes, make: Callable[[], tuple[Candidates, dict]]) -> dict:
        """A new session; if the same call made it before, its answer."""
        with self._opening:
            self.expire()
            with self._lock:
                existing = self._sessions.get(handle)
                if existing is not None:
                    if existing.revision == 0 and existing.call == call:
                        existing.touched = self._clock()
                        return existing.answer
                    raise ServeError("conflict", "this handle is taken; choose a random one for every session")
                if len(self._sessions) >= self.most:
                    raise ServeError(
                        "busy",
                        f"all {self.most} sessions are in use; wait for another search to end, or start the server with "
                        "a larger --max-sessions",
                    )
            candidates, answer = make()
            with self._lock:
                self._sessions[handle] = Session(candidates, call, answer, touched=self._clock())
            return answer

    def at(self, handle: str, revision: int) -> Session:
        """The session, if it is at ``revision`` when calls before this one are carried out."""
        session = self.find(handle)
        with session.lock:
            if session.revision != revision:
                raise self._conflict(session, revision)
            return session

    def change(
        self, handle: str, revision: int, call: bytes, make: Callable[[Candidates], tuple[Candidates, dict]]
    ) -> dict:
        """Moves the session from ``revision`` to the next one, or answers again if this very call already did."""
        session = self.find(handle)
        with session.lock:
            if session.revision == revision + 1 and session.call == call:
                return session.answer
            if session.revision != revision:
                raise self._conflict(session, revision)
            session.busy = True
            try:
                candidates, answer = make(session.candidates)
            finally:
                session.busy, session.touched = False, self._clock()
            session.revision += 1
            session.candidates, session.call = candidates, call
            session.answer = {"revision": session.revision, **answer}
            return session.answer

    def touch(self, handles: Iterable[str]) -> list[str]:
        """Marks sessions as in use; returns those that are gone."""
        self.expire()
        with self._lock:
            now, gone = self._clock(), []
            for handle in handles:
                if handle in self._sessions:
                    self._sessions[handle].touched = now
                else:
                    gone.append(handle)
            return gone

    def release(self, handle: str) -> None:
        with self._lock:
            self._sessions.pop(handle, None)

    def expire(self) -> None:
        with self._lock:
            limit = self._clock() - self.idle_seconds
            stale = [h for h, session in self._sessions.items() if session.touched < limit and not session.busy]
            for handle in stale:
                del self._sessions[handle]

    @staticmethod
    def _conflict(session: Session, revision: int) -> ServeError:
        return ServeError(
            "conflict", f"the session is at revision {session.revision}, but the call was made for {revision}"
        )
