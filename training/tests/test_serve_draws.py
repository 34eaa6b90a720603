"""Keyed randomness and draws: the numbers recorded from src/core/rng.ts and src/generators/next-scale/draw-bits.ts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from serving import ROOT
from ttsvar.infinity.serving.draw import draw_bits
from ttsvar.serve.keyed import KeyedRandom, philox

VECTORS = json.loads((ROOT / "test/fixtures/remote/draws.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [  # known answers of Random123
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)  # fmt: skip
def test_philox(counter: list[int], key: tuple[int, int], wanted: list[int]) -> None:
    assert philox(np.array([counter, counter]), key).tolist() == [wanted, wanted]


@pytest.mark.parametrize("stream", VECTORS["streams"], ids=lambda stream: repr(stream["seed"]))
def test_keyed_uniforms_are_the_packages(stream: dict) -> None:
    values = KeyedRandom(stream["seed"], stream["prompt"]).uniforms(stream["id"], stream["scale"], stream["count"])
    assert (values * 2**32).tolist() == stream["words"]


@pytest.mark.parametrize("case", VECTORS["draws"], ids=lambda case: json.dumps(case["settings"]))
def test_draws_are_the_packages(case: dict) -> None:
    cond = np.array(case["cond"], np.float32)
    uncond = None if case["uncond"] is None else np.array(case["uncond"], np.float32)
    settings = case["settings"]
    rule = (settings["guidance"], settings["temperature"], settings["topP"])
    uniforms = KeyedRandom(case["seed"], case["prompt"]).uniforms(case["id"], case["scale"], len(cond))
    bits = np.array([int(bit) for bit in case["bits"]], np.uint8)
    drawn = draw_bits(cond, uncond, *rule, uniforms, None, settings.get("topK"))
    assert drawn.bits.tolist() == bits.tolist()
    for name, value in (("logProb", drawn.log_prob), ("entropy", drawn.entropy), ("guidanceGap", drawn.guidance_gap)):
        assert value == pytest.approx(case[name], rel=1e-12)
    opposite = draw_bits(cond, uncond, *rule, None, 1 - bits)
    assert opposite.log_prob == pytest.approx(case["oppositeLogProb"], rel=1e-12)


def test_logits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="position 1"):
        draw_bits(np.array([0, np.nan], np.float32), None, 1, 1, 1, np.zeros(2))
