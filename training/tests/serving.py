"""A tiny model to be served, and populations of it, for the tests of the sampler server."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsvar.infinity.serving.loading import Loaded, Placement, load_tiny
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, Request

ROOT = Path(__file__).resolve().parents[2]
SCHEDULE = "2:1@0.06M"
PROMPT = "a photo of two red cars"
HANDLE = "a" * 32


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_tiny("square", SCHEDULE, Placement())


@pytest.fixture(scope="module")
def network(loaded: Loaded) -> Network:
    return Network(loaded, Placement())


def request(loaded: Loaded, **change: object) -> Request:
    shape = loaded.shapes[0]
    return Request(**{"shape": shape, "prompt": PROMPT, "negative": None, "seed": 3, "settings": shape.defaults, **change})


def finish(population: Population, until: int = 7) -> Population:
    while population.stage < until:
        population, _ = population.step()
    return population
