"""Several sessions in one pass: who goes with whom, and that nobody's images change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from serving import PROMPT, loaded, request  # noqa: F401 - a fixture
from ttsvar.infinity.serving.loading import Loaded, Placement
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population
from ttsvar.serve.together import Together


@dataclass
class Plain:
    alike: object
    name: str = ""


def in_threads(together: Together, party: Sequence[Plain]) -> dict[str, object]:
    """Steps all of them while the device is busy, so that all wait."""
    results: dict[str, object] = {}

    def step(one: Plain) -> None:
        try:
            results[one.name] = together.step(one)[1]
        except ValueError as error:
            results[one.name] = error

    with together._device:
        threads = [threading.Thread(target=step, args=(one,)) for one in party]
        for thread in threads:
            thread.start()
        while len(together._waiting) < len(party):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    return results


def test_steps_that_wait_are_made_with_their_like() -> None:
    passes: list[list[str]] = []

    def step(party: Sequence[Plain]) -> list[tuple[Plain, dict]]:
        passes.append(sorted(one.name for one in party))
        return [(one, {"of": one.name}) for one in party]

    party = [Plain("x", "a"), Plain("y", "b"), Plain("x", "c"), Plain(None, "d"), Plain(None, "e")]
    results = in_threads(Together(threading.Lock(), step), party)
    assert results == {one.name: {"of": one.name} for one in party}
    assert sorted(passes) == [["a", "c"], ["b"], ["d"], ["e"]]


def test_one_that_fails_does_not_spoil_the_others() -> None:
    def step(party: Sequence[Plain]) -> list[tuple[Plain, dict]]:
        if any(one.name == "bad" for one in party):
            raise ValueError("no")
        return [(one, {}) for one in party]

    results = in_threads(Together(threading.Lock(), step), [Plain(1, "bad"), Plain(1, "good"), Plain(1, "fine")])
    assert (results["good"], results["fine"]) == ({}, {})
    assert isinstance(results["bad"], ValueError)


@pytest.mark.parametrize("rows", [2, 16])
def test_sessions_in_one_pass_draw_what_each_draws_alone(loaded: Loaded, rows: int) -> None:  # noqa: F811
    alone, wide = Network(loaded, Placement()), Network(loaded, Placement(rows=rows))
    prompts = [(PROMPT, None), ("a cup", "a dog"), ("three green cups on a table, a clock above them", None)]

    def begin(network: Network) -> list[Population]:
        return [
            Population.begin(network, request(loaded, prompt=prompt, negative=negative, seed=index), ["c0", "c1"])
            for index, (prompt, negative) in enumerate(prompts)
        ]

    expected, together = begin(alone), begin(wide)
    assert {population.alike for population in together} == {None}  # before the first scale
    for _ in range(7):
        expected = [population.step()[0] for population in expected]
        if together[0].alike:
            assert len({population.alike for population in together}) == 1
            together = [population for population, _ in Population.step_all(together)]
        else:
            together = [population.step()[0] for population in together]
    for one, other in zip(expected, together, strict=True):
        for row, same in zip(one.rows, other.rows, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(row.bits, same.bits, strict=True))
        assert np.array_equal(one.decode([1], (8, 4)), other.decode([1], (8, 4)))
    assert all(population.alike is None for population in expected + together)
