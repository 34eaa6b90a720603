"""Families over the canvas: schedules, masks and what may see what, on tiny random nets."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ttsvar.block_flow.model import BlockFlow, cells, masks
from ttsvar.block_flow.sample import sample as sample_cells
from ttsvar.block_flow.sample import solver_step, times
from ttsvar.discrete_diffusion.model import DiscreteDiffusion, keep_share
from ttsvar.discrete_diffusion.sample import posterior
from ttsvar.infinity.generator import pad
from ttsvar.infinity.graphs import blocks, quantised
from ttsvar.latent.export import randomise, tiny_trunk
from ttsvar.latent.model import Codebook, Narrow
from ttsvar.latent.rounded import rounded, stored
from ttsvar.latent.train import cluster
from ttsvar.latent.trunk import Prompt
from ttsvar.masked_set.conditioned import Cascade, Editor
from ttsvar.masked_set.model import MaskedSet, reveals
from ttsvar.masked_set.questions import ask
from ttsvar.masked_set.train import mask_ratio
from ttsvar.ordered.model import GROUPINGS, Ordered, sequence
from ttsvar.ordered.next_all import NextAll, by_position, correlation, states_of
from ttsvar.text.tokenizer import Tokenizer


def prompt(trunk, texts=("a red car", "two dogs and a cat")) -> Prompt:  # noqa: ANN001
    return trunk.prompt(pad([Tokenizer().encode(text) for text in texts]))


def test_schedules_are_those_of_the_papers() -> None:
    assert [round(float(keep_share(t)), 3) for t in (0.1, 0.25, 0.5, 0.75, 0.9, 1)] == [0.986, 0.92, 0.703, 0.38, 0.155, 0]
    assert reveals(64, 8) == [2, 3, 6, 8, 10, 11, 12, 12]
    assert reveals(64, 12) == [1, 2, 2, 4, 5, 5, 7, 6, 8, 8, 8, 8]
    counts = torch.bincount(sequence("diagonal")[1]).tolist()
    assert counts == [1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1]
    planes = torch.bincount(sequence("diagonal", 4)[1]).tolist()
    assert planes == [1, 3, 6, 10, 14, 18, 22, 26, 28, 28, 26, 22, 18, 14, 10, 6, 3, 1]
    assert times(4) == pytest.approx([1, 0.68, 0.36, 0.04, 0])
    ratio = mask_ratio(500)
    assert ratio.min() >= 0.7 and ratio.max() <= 1


def test_a_strided_posterior_is_the_chain_of_small_steps() -> None:
    clean = torch.zeros(1, 5, dtype=torch.float64)
    clean[0, 2] = 1

    def step(noisy: int, a: float, b: float) -> torch.Tensor:
        weights = posterior(clean, torch.tensor([noisy]), a, b)
        return weights[0] / weights.sum()

    direct = step(4, 0.8, 0.3)
    chained = sum(step(4, 0.8, 0.5)[middle] * step(middle, 0.5, 0.3) for middle in range(5))
    torch.testing.assert_close(chained, direct, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("grouping", "frames"), [*((g, 1) for g in GROUPINGS), ("diagonal", 2)])
def test_ordered_groups_see_earlier_groups_only(grouping: str, frames: int) -> None:
    torch.manual_seed(0)
    model = Ordered(12, grouping, tiny_trunk(3 if grouping == "diagonal" else 2), frames).eval()
    randomise(model)
    text, codes = prompt(model.trunk), torch.randint(0, 12, (2, 64 * frames))
    changed = codes.clone()
    changed[:, 27] = (changed[:, 27] + 1) % 12
    with torch.no_grad():
        moved = (model.teacher(codes, text) - model.teacher(changed, text)).abs().amax((0, 2)) > 1e-6
    order, group = sequence(grouping, frames)
    of = torch.empty(64 * frames, dtype=torch.long)
    of[order] = group
    assert not moved[of <= of[27]].any()
    assert moved.any()


def test_the_encoder_of_masked_sets_reads_known_tokens_only() -> None:
    torch.manual_seed(0)
    model = MaskedSet(4, tiny_trunk(3), 16).eval()
    randomise(model)
    text = prompt(model.trunk)
    tokens, known = torch.randn(2, 1, 64, 4), (torch.rand(2, 1, 64) < 0.5).float()
    other = tokens + torch.randn_like(tokens) * (1 - known[..., None])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens, known, text), model(other, known, text))


@pytest.mark.parametrize("context", ["noisy", "clean"])
def test_cells_see_no_later_ones(context: str) -> None:
    mask = masks(context)[-64:]
    cell = torch.arange(64) // 16
    own = mask[:, -64:] == 0
    if context == "clean":
        before = mask[:, :64] == 0
        assert torch.equal(before, cell[:, None] > cell[None])
        assert torch.equal(own, cell[:, None] == cell[None])
    else:
        assert torch.equal(own, cell[:, None] >= cell[None])
    assert sorted(cells().flatten().tolist()) == list(range(64))


def test_cells_are_drawn_one_after_the_other() -> None:
    torch.manual_seed(0)
    model = BlockFlow(4, "noisy", tiny_trunk()).eval()
    randomise(model)
    both = model.trunk.both(torch.tensor([Tokenizer().encode("a red car")]))
    groups = [Prompt(both.sos[g : g + 1], [(k[g : g + 1], v[g : g + 1]) for k, v in both.memory], None) for g in (0, 1)]
    drawn = sample_cells(model, groups, 2, 3, 2.0, True, 1)
    assert drawn.shape == (2, 64, 4) and drawn.isfinite().all()
    x = torch.tensor([1.0])
    assert solver_step(x, torch.tensor([0.5]), 0.5, 0.3, None).item() == pytest.approx(0.9)


def test_a_codebook_leaves_no_entry_unused() -> None:
    torch.manual_seed(0)
    points = torch.cat([torch.randn(50, 3), torch.randn(50, 3) + 9])
    centres = cluster(points, 16, 10)
    assert torch.cdist(points, centres).argmin(1).unique().numel() == 16
    book, narrow = Codebook(16, 3, 8), Narrow(3, 8)
    book.entries.copy_(centres)
    codes = torch.randint(0, 16, (2, 64))
    assert torch.equal(book.nearest(book.vectors(codes)), codes)
    assert narrow.encode(torch.randn(2, 32, 8, 8)).shape == (2, 3, 8, 8)


def test_discrete_diffusion_starts_as_a_coin_of_all_codes() -> None:
    torch.manual_seed(0)
    model = DiscreteDiffusion(12, tiny_trunk()).eval()
    with torch.no_grad():
        logits = model(torch.randint(0, 12, (2, 1, 64)), torch.tensor([0.3, 0.9]), prompt(model.trunk))
    assert logits.shape == (2, 1, 64, 12) and logits.abs().max() == 0


def test_a_conditioned_net_reads_the_other_picture_and_its_levels_are_those_of_the_export() -> None:
    torch.manual_seed(0)
    editor, cascade = Editor(4, tiny_trunk(3), 16).eval(), Cascade(4, tiny_trunk(3), 16).eval()
    for model in (editor, cascade):
        randomise(model)
    tokens, known = torch.randn(2, 1, 64, 4), (torch.rand(2, 1, 64) < 0.5).float()
    coarse, time = torch.randn(2, 1, 16, 4), torch.full((2,), 0.5)
    first = (torch.rand(2, 1, 16) < 0.5).float()
    with torch.no_grad():
        text = prompt(editor.trunk)
        assert (editor(tokens, known, text, tokens) - editor(tokens, known, text, tokens + 1)).abs().max() > 1e-4
        text = prompt(cascade.trunk)
        fine = cascade(tokens, known, text, coarse, time)
        start = cascade.coarse(coarse * first[..., None], first, text)
        one, at = torch.ones(1), torch.arange(80)
        torch.testing.assert_close(cascade.either(tokens, known, at[16:], coarse, time, one, text), fine)
        masked = coarse * first[..., None]
        torch.testing.assert_close(cascade.either(masked, first, at[:16], coarse, time, 0 * one, text), start, atol=1e-5, rtol=1e-4)
    canvas = cascade.coarsen(tokens[:, 0])
    assert canvas.shape == (2, 16, 4) and cascade.enlarged(canvas).shape == (2, 64, 4)


def test_questions_are_right_or_wrong_in_one_respect() -> None:
    rng, words = random.Random(3), Tokenizer().vocabulary
    captions = ["a red apple and a blue car", "three dogs", "a cat left of a car", "a pink bowl"]
    for caption in captions:
        ids = Tokenizer().encode(caption)
        for _ in range(60):
            asked, yes, kind = ask(ids, rng)
            shown = [words[word] for word in asked]
            own = set(words[word] for word in ids)
            if kind == "color" and yes:
                assert set(shown) <= own
            if kind == "class" and not yes:
                assert not set(shown) <= own
            if kind == "relation":
                order = shown.index("cat") < shown.index("car")
                assert yes == (shown[1] == ("left_of" if order else "right_of"))


def test_int8_weights_are_near_along_the_better_axis() -> None:
    values = np.random.default_rng(0).normal(size=(32, 48)).astype(np.float32)
    values[3] *= 100
    codes, scale = quantised(values, 1)
    assert codes.dtype == np.int8 and scale.shape == (32, 1)
    assert np.abs(codes * scale.astype(np.float32) - values)[3].max() <= scale[3].max() * 0.51


def test_a_next_all_head_reads_what_is_drawn() -> None:
    torch.manual_seed(0)
    model = Ordered(12, "diagonal", tiny_trunk(3)).eval()
    randomise(model)
    text, codes = prompt(model.trunk), torch.randint(0, 12, (2, 64))
    changed = codes.clone()
    changed[:, 27] = (changed[:, 27] + 1) % 12
    moved = (states_of(model, codes, text) - states_of(model, changed, text)).abs().amax((0, 2)) > 1e-6
    group = by_position("diagonal")
    assert group.tolist() == [at // 8 + at % 8 for at in range(64)]
    assert not moved[: group[27]].any() and moved[group[27]]
    assert NextAll(model.trunk.width, 4)(states_of(model, codes, text)).shape == (2, 15, 64, 4)
    first = np.array([[1.0, 2, 3], [1, 1, 1]])
    assert correlation(first, first * 2).round(6).tolist() == [1, 0]


def test_weights_are_rounded_inside_and_whole_after() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(64, 64), torch.nn.Linear(64, 96, bias=False), torch.nn.Linear(4, 4))
    before = [p.detach().clone() for p in model.parameters()]
    with rounded(stored(model)):
        inside = [p.detach().clone() for p in model.parameters()]
    assert all(torch.equal(p, kept) for p, kept in zip(model.parameters(), before))
    assert not torch.equal(inside[0], before[0]) and torch.equal(inside[2], before[2]), "small ones stay"
    # As the graphs hold the weights of a product: columns of inputs, blocks along the outputs.
    codes, scale = blocks(inside[1].T.contiguous().numpy())
    np.testing.assert_allclose((codes * scale.astype(np.float32)).reshape(64, 96), inside[1].T.numpy(), atol=1e-6)
