"""Clips: worlds, patches, and that training and drawing see the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ttsvar.frames import worlds
from ttsvar.frames.export import tiny
from ttsvar.frames.model import FULL, OUTLINE, patches, to_bins, to_unit, unpatched
from ttsvar.frames.sample import remember, sample
from ttsvar.frames.words import MotionTokenizer
from ttsvar.latent.export import randomise
from ttsvar.latent.trunk import Prompt


def groups(model, text: str) -> list[Prompt]:  # noqa: ANN001
    both = model.trunk.both(torch.tensor([MotionTokenizer().encode(text)]))
    return [Prompt(both.sos[g : g + 1], [(k[g : g + 1], v[g : g + 1]) for k, v in both.memory], None) for g in (0, 1)]


def test_patches_go_there_and_back() -> None:
    tokens = torch.randn(2, 3, 64, 4)
    assert torch.equal(unpatched(patches(tokens, FULL), FULL), tokens)
    assert torch.equal(unpatched(patches(tokens, OUTLINE), OUTLINE), tokens)


@pytest.mark.parametrize("plan", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_drawing_sees_what_training_saw(plan: bool, first: int) -> None:
    torch.manual_seed(0)
    model = tiny(plan).eval()
    randomise(model)
    frames, poses = torch.randn(1, 3, 64, 4), torch.randint(0, 5, (1, 3, 2)) if plan else None
    text = groups(model, "a red car driving up past a stop sign below")[0]
    last = first + 1
    with torch.no_grad():
        clean = torch.tensor([[True, False]])
        trained = model(frames, torch.full((1, 2), 0.3), clean, text, first, poses)[:, -1]
        past = remember(model, list(frames[:, :last].unbind(1)), text, poses)
        own = None if poses is None else poses[:, last]
        drawn = model.step(frames[:, last], torch.tensor([0.3]), torch.tensor([last]), text, own, past)[0]
    torch.testing.assert_close(drawn, trained, rtol=1e-4, atol=1e-4)


def test_a_clip_has_all_frames_and_epona_a_plan() -> None:
    torch.manual_seed(0)
    model = tiny(True).eval()
    randomise(model)
    tokens, plan = sample(model, groups(model, "a blue car driving down"), 2, 2, 1.5, 1, 2)
    assert tokens.shape == (2, 3, 64, 4) and plan.shape == (2, 6) and tokens.isfinite().all()


def test_a_way_around_the_obstacles_has_the_full_return() -> None:
    road = worlds.Road("up", "middle", "below")
    over = np.array([[x, 16] for x in worlds.GRID], float)
    assert worlds.drive_return(road, over) == 1
    through = np.array([[x, 32] for x in worlds.GRID], float)
    assert worlds.drive_return(road, through) == pytest.approx(0.2 * 0.5)
    assert to_bins(to_unit(torch.tensor(over))).tolist() == [[x, 0] for x in range(5)]


def test_every_road_can_be_driven() -> None:
    rng = np.random.default_rng(0)
    for road in worlds.roads():
        assert max(worlds.drive_return(road, worlds.draw_plan(road, rng)) for _ in range(60)) == 1
