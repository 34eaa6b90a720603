"""Settings, traits and tokens of a served generator: the same rules and numbers as the package's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving import PROMPT, SCHEDULE, finish, loaded, network, request  # noqa: F401 (loaded and network are fixtures)
from ttsvar.infinity.flops import stage_costs
from ttsvar.infinity.serving.loading import Loaded
from ttsvar.infinity.serving.loop import InfinityLoop
from ttsvar.infinity.serving.network import Network
from ttsvar.infinity.serving.population import Population, grid_of
from ttsvar.infinity.serving.settings import resolve_settings
from ttsvar.infinity.serving.shape import Settings
from ttsvar.serve.errors import ServeError
from ttsvar.serve.fields import Fields
from ttsvar.serve.wire import Picture, bytes_of_pictures, take_bits, wire_bits

OWN = Settings([3.0, 2.0], [0.5, 0.7], 0.97, 3)


def test_settings_stand_on_top_of_the_models_own() -> None:
    assert resolve_settings(OWN, {}, 3) == Settings([3.0, 2.0, 2.0], [0.5, 0.7, 0.7], 0.97, 3)
    given = {"guidance": 4, "temperature": [1, 2, 3], "topP": 1, "topK": 1, "guidanceUntil": 0}
    assert resolve_settings(OWN, given, 3) == Settings([4, 4, 4], [1, 2, 3], 1, 0, 1)
    # More scales of guidance than the model has are meant as all of them.
    assert resolve_settings(OWN, {}, 2).guidance_until == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"guidanse": 2}, 'model.options.guidanse: this generator has no such setting; did you mean "guidance"?'),
        ({"xyz": 1}, "model.options.xyz: this generator has no such setting; it knows guidance, temperature"),
        ({"guidance": [1, 2]}, "model.options.guidance has 2 values, but this model has 3 scales; give one number"),
        ({"guidance": []}, "model.options.guidance: must be a number from 0 to 100, or a list of such numbers"),
        ({"temperature": 0}, "model.options.temperature: must be a number above 0 and at most 100, or a list"),
        ({"temperature": True}, "model.options.temperature: must be a number"),
        ({"topP": 0}, "model.options.topP: must be above 0 and at most 1"),
        ({"topP": None}, "model.options.topP: must be above 0"),
        ({"topK": 0.5}, "model.options.topK: must be a whole number from 1"),
        ({"guidanceUntil": 4}, "model.options.guidanceUntil is 4, but this model has scales 0 to 2; 3 keeps guidance"),
        ({"topP": 2, "topK": 0}, "model.options.topP: must be above 0 and at most 1; model.options.topK: must be"),
    ],
)
def test_settings_that_the_model_does_not_have_are_refused(given: dict, told: str) -> None:
    with pytest.raises(ServeError) as refusal:
        resolve_settings(OWN, given, 3)
    assert (refusal.value.code, refusal.value.message[: len(told)]) == ("invalid-request", told)


def test_traits_cost_what_the_asked_settings_cost(loaded: Loaded, network: Network) -> None:
    loop = InfinityLoop(network, loaded, "tiny@1")
    traits = loop.traits(SCHEDULE, {"guidanceUntil": 2})
    costs = stage_costs(loaded.model.config, loaded.shapes[0].schedule, loaded.flops["nominalTokens"])
    guided, unguided = [[cost[kind] for cost in costs] for kind in ("guided", "unguided")]
    assert traits["cost"]["stages"] == guided[:2] + unguided[2:]
    assert loop.traits(SCHEDULE, {})["cost"]["stages"] == guided
    assert traits["settings"]["guidanceUntil"] == 2 and traits["memory"] is None
    named = {shape["id"]: shape for shape in loop.info["shapes"]}
    assert named[SCHEDULE] == {"id": SCHEDULE, "width": 352, "height": 176, "label": "0.06M"} | {
        side: traits["shape"][side] for side in ("width", "height")
    }
    with pytest.raises(ServeError, match="no shape '7:1@1M'; it has 2:1@0.06M"):
        loop.traits("7:1@1M", {})


def test_bits_are_packed_and_come_back() -> None:
    bits = np.array([1, 0, 1, 0, 0, 0, 0, 1, 1], np.uint8)
    wired = wire_bits(bits, 3)
    assert wired == {"count": 3, "base64": "oYA="}
    assert take_bits(Fields(wired, "tokens"), 3, 3).tolist() == bits.tolist()
    for wrong in ({"count": 4, "base64": "oYA="}, {"count": 3, "base64": "oQ=="}, {"count": 3, "base64": "!"}):
        with pytest.raises(ServeError, match="tokens"):
            take_bits(Fields(wrong, "tokens"), 3, 3)


def test_pictures_are_a_line_and_their_pixels() -> None:
    clip, still = np.zeros((2, 1, 2, 3), np.uint8), np.ones((1, 1, 2, 3), np.uint8)
    line, _, pixels = bytes_of_pictures([Picture(clip, 0.5), Picture(still)]).partition(b"\n")
    assert json.loads(line) == [
        {"width": 2, "height": 1, "frames": 2, "coverage": 0.5}, {"width": 2, "height": 1, "frames": 1, "coverage": 1},
    ]  # fmt: skip
    assert pixels == bytes(12) + b"\1" * 6


def test_views_are_whole_cells_with_halves_rounded_up() -> None:
    sizes = (1, 0.5, 0.25, 1e-9)
    assert [grid_of((22, 11), size) for size in sizes] == [(22, 11), (11, 6), (6, 3), (1, 1)]


def test_candidates_that_only_keep_are_computed_once(loaded: Loaded, network: Network) -> None:
    donor = finish(Population.begin(network, request(loaded), ["c0"])).rows[0].bits
    # Hot enough for this model's weights to let the draws decide.
    settings = resolve_settings(loaded.shapes[0].defaults, {"temperature": 50}, 7)
    task = request(loaded, keep=donor[:2], settings=settings)
    population, widths = Population.begin(network, task, ["c1", "c2"]), []
    compute = network.run
    with pytest.MonkeyPatch.context() as patch:

        def watched(stage: Any, entries: Any) -> Any:
            widths.append(len(entries))
            return compute(stage, entries)

        patch.setattr(network, "run", watched)
        population = finish(population, 4)
    assert widths == [1, 1, 1, 2]
    alone = finish(Population.begin(network, task, ["c2"]), 4)
    assert [bits.tolist() for bits in population.rows[1].bits] == [bits.tolist() for bits in alone.rows[0].bits]
    assert population.rows[0].bits[2].tolist() != population.rows[1].bits[2].tolist()


def test_tasks_that_the_model_cannot_do_are_refused(loaded: Loaded, network: Network) -> None:
    loop = InfinityLoop(network, loaded, "tiny@1")

    def refusal(task: dict) -> str:
        with pytest.raises(ServeError) as refused:
            loop.task(SCHEDULE, {}, Fields({"prompt": PROMPT, "seed": 1, **task}, "task"))
        assert refused.value.code == "invalid-request"
        return refused.value.message

    assert "cannot start from an image" in refusal({"source": {"width": 1, "height": 1, "base64": "AAAA"}})
    assert "kept tokens of stage 0: 2 tokens given, 1 needed" in refusal({"keep": [{"count": 2, "base64": "AAAA"}]})
    assert "kept tokens of 8 stages are given, but the model has 7" in refusal({"keep": [{}] * 8})
    assert "unknown field task.beamWidth" in refusal({"beamWidth": 3})
    task = loop.task(SCHEDULE, {}, Fields({"prompt": PROMPT, "seed": "s", "label": 3, "metadata": {"tag": "x"}}))
    assert (task.seed, task.keep) == ("s", None)
