"""Sessions of the sampler server: repeats, failures, expiry."""

from __future__ import annotations

import pytest

from serving import HANDLE
from ttsvar.serve.errors import ServeError
from ttsvar.infinity.serving.population import Population
from ttsvar.serve.sessions import SessionStore, digest


def population_at(stage: int) -> Population:
    return Population(None, None, None, (), stage)


def test_repeated_changes_are_answered_once() -> None:
    store = SessionStore(most=2, idle_seconds=10)
    made: list[int] = []

    def step(before: Population) -> tuple[Population, dict]:
        made.append(before.stage)
        return population_at(before.stage + 1), {"stage": before.stage + 1}

    store.open(HANDLE, b"start", lambda: (population_at(0), {"revision": 0}))
    for _ in range(3):
        assert store.change(HANDLE, 0, b"step", step) == {"revision": 1, "stage": 1}
    assert made == [0]
    with pytest.raises(ServeError, match="revision 1"):
        store.change(HANDLE, 0, b"another", step)


def test_a_failed_change_leaves_the_session_as_it_was() -> None:
    store = SessionStore(most=2, idle_seconds=10)
    store.open(HANDLE, b"start", lambda: (population_at(0), {"revision": 0}))
    with pytest.raises(ZeroDivisionError):
        store.change(HANDLE, 0, b"step", lambda _: 1 // 0)
    assert store.at(HANDLE, 0).candidates.stage == 0
    assert store.change(HANDLE, 0, b"step", lambda _: (population_at(1), {})) == {"revision": 1}


def test_idle_sessions_expire_and_used_ones_do_not() -> None:
    now = [0.0]
    store = SessionStore(most=2, idle_seconds=10, clock=lambda: now[0])
    for handle in ("used", "touched"):
        store.open(handle, b"start", lambda: (population_at(0), {"revision": 0}))
    with pytest.raises(ServeError, match="all 2 sessions are in use"):
        store.open("third", b"start", lambda: (population_at(0), {"revision": 0}))
    now[0] = 8
    store.find("used")
    now[0] = 16
    assert store.touch(["used", "touched"]) == ["touched"]
    with pytest.raises(ServeError, match="idle for more than 10 s"):
        store.find("touched")

    def slow(_: Population) -> tuple[Population, dict]:
        now[0] += 100
        store.expire()
        return population_at(1), {}

    assert store.change("used", 0, digest("step", b""), slow) == {"revision": 1}
    assert store.find("used").candidates.stage == 1
