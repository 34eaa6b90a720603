"""VAR, FlexVAR and VAREdit: cached scales agree with the teacher-forced pass, pairs differ only inside their masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ttsvar.flexvar.bits import encode, magnitudes
from ttsvar.world import world_config
from ttsvar.var.model import Var, block_mask
from ttsvar.var.quantiser import PHI_OF_TEN, phi_table
from ttsvar.var.tiny import CONFIG, make_vae, randomise, record
from ttsvar.varedit.pairs import KINDS, draw_pair
from ttsvar.world import World


def test_phi_table_of_other_schedules():
    assert phi_table(10) == PHI_OF_TEN
    assert phi_table(6) == (0, 0, 1, 2, 3, 3)


@torch.no_grad()
def test_var_cached_equals_teacher_forced():
    model, vae = Var(CONFIG).eval(), make_vae().eval()
    model.load_state_dict(randomise(model, 1))
    vae.load_state_dict(randomise(vae, 2))
    forced = [torch.randint(CONFIG.vocabulary, (1, n)) for n in CONFIG.lengths]
    recorded = record(model, vae, 1, forced)
    inputs = torch.cat(recorded["inputs"][1:], 1)
    whole = model(torch.tensor([1]), inputs, block_mask(CONFIG.lengths))
    stepped = torch.cat([logits[0] for logits in recorded["logits"]], 1)
    assert (whole - stepped).abs().max() < 1e-4


@torch.no_grad()
def test_var_encode_finds_what_it_adds_up():
    vae = make_vae().eval()
    vae.load_state_dict(randomise(vae, 2))
    latent = torch.randn(2, CONFIG.channels, 4, 4)
    indices, codes = vae.quantize.encode(latent)
    total = sum(vae.quantize.contribution(vae.quantize.entries(i, s), s) for s, i in enumerate(indices))
    assert torch.allclose(total, codes[-1], atol=1e-5)


def test_flexvar_scales_are_not_residual():
    latent = torch.randn(3, 32, 8, 8)
    table = magnitudes(latent)
    bits, inputs = encode(latent, [(1, 1), (2, 3), (8, 8)], table)
    assert torch.equal(bits[-1], latent > 0)
    assert [x.shape[1] for x in inputs] == [6, 64]


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_equal_outside_their_mask(kind):
    world = World(world_config(64), 5)
    for index in range(8):
        pair = draw_pair(world, 7, index, kind)
        assert pair.kind == kind
        different = (pair.source != pair.target).any(-1)
        assert different.any() and not (different & ~pair.mask).any()
        again = draw_pair(world, 7, index, kind)
        assert np.array_equal(pair.target, again.target) and pair.instruction == again.instruction
