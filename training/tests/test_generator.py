"""Transformer: names, sizes, positions, cached against teacher-forced passes, sampling rules."""

from __future__ import annotations

import math
import re

import pytest
import torch

from ttsvar.infinity.bits import BitQuantizer, from_tokens, to_tokens, tokens
from ttsvar.infinity.generator import CLOSED, Bundle, Generator
from ttsvar.infinity.model import Infinity, InfinityConfig, load_official
from ttsvar.infinity.sample import Settings, Trace, conditions, draw, guided, keyed_noise, sample
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer

BLOCK_NAMES = {
    "ada_gss", "ca_norm.weight", "ca_norm.bias", "sa.mat_qkv.weight", "sa.q_bias", "sa.v_bias", "sa.zero_k_bias",
    "sa.scale_mul_1H11", "sa.proj.weight", "sa.proj.bias", "ca.mat_q.weight", "ca.mat_q.bias", "ca.mat_kv.weight",
    "ca.v_bias", "ca.zero_k_bias", "ca.proj.weight", "ca.proj.bias", "ffn.fc1.weight", "ffn.fc1.bias",
    "ffn.fc2.weight", "ffn.fc2.bias",
}  # fmt: skip
OTHER_NAMES = {
    "cfg_uncond", "pos_start", "text_norm.weight", "text_proj_for_sos.ca.mat_q", "text_proj_for_sos.ca.v_bias",
    "text_proj_for_sos.ca.zero_k_bias", "text_proj_for_sos.ca.mat_kv.weight", "text_proj_for_sos.ca.proj.weight",
    "text_proj_for_sos.ca.proj.bias", "text_proj_for_ca.0.weight", "text_proj_for_ca.0.bias",
    "text_proj_for_ca.2.weight", "text_proj_for_ca.2.bias", "lvl_embed.weight", "word_embed.weight",
    "word_embed.bias", "shared_ada_lin.1.weight", "shared_ada_lin.1.bias", "head_nm.ada_lin.1.weight",
    "head_nm.ada_lin.1.bias", "head.weight", "head.bias",
}  # fmt: skip
TINY = InfinityConfig(4, 64, 4, 128, 32, 8, 2)
SCHEDULE = Schedule.square((1, 2, 3))


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """Give every parameter a non-trivial value, so that a forgotten one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    generator = Generator(TINY, TextConfig(vocab_size=len(Tokenizer()))).eval().requires_grad_(False)
    randomise(generator)
    vae = Vae(VaeConfig(8, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4)).eval().requires_grad_(False)
    quantizer = BitQuantizer(8, SCHEDULE.vae_grids, torch.rand(3, 8) + 0.2)
    return Bundle(generator, vae, quantizer, SCHEDULE, {})


def test_names_are_infinitys() -> None:
    seen: dict[str, set[str]] = {}
    other = set()
    for key in Infinity(TINY).state_dict():
        match = re.fullmatch(r"(block_chunks\.[01]\.module\.[01])\.(.+)", key)
        if match:
            seen.setdefault(match[1], set()).add(match[2])
        else:
            other.add(key)
    assert len(seen) == 4 and all(names == BLOCK_NAMES for names in seen.values())
    assert other == OTHER_NAMES


@pytest.mark.parametrize(("name", "billions"), [("infinity_2b", 2.205), ("infinity_8b", 8.376)])
def test_official_sizes(name: str, billions: float) -> None:
    with torch.device("meta"):
        model = Infinity(InfinityConfig.official(name))
    assert round(sum(p.numel() for p in model.parameters()) / 1e9, 3) == billions


def test_feed_forward_width_uses_bankers_rounding() -> None:
    assert InfinityConfig(width=2080, heads=20).hidden == 8192
    assert InfinityConfig(width=3360, heads=28).hidden == 13312


def test_positions_match_the_original() -> None:
    schedule = Schedule.square((6, 12, 20), reference=64)
    assert schedule.axis(0)[0] == [0, 11, 21, 32, 43, 53]
    assert schedule.axis(1)[1] == [0, 5, 11, 16, 21, 27, 32, 37, 43, 48, 53, 59]
    assert schedule.axis(2)[0][:11] == [0, 3, 6, 10, 13, 16, 19, 22, 26, 29, 32]
    ties = Schedule(((20, 10),), (70, 35))
    assert ties.axis(0)[0][:4] == [0, 4, 7, 10]


def test_mask_is_block_causal() -> None:
    mask = SCHEDULE.block_mask()
    assert (mask[0, 1:] < -1e3).all() and (mask[1:5, :5] == 0).all() and (mask[1:5, 5:] < -1e3).all()


def test_official_loader_reshapes_flash_scales() -> None:
    model = Infinity(TINY)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for key in list(state):
        if key.endswith("scale_mul_1H11"):
            state[key] = state[key].reshape(1, 1, -1, 1)
    load_official(model, {**state, "lvl_1L": torch.zeros(1)})
    with pytest.raises(RuntimeError):
        load_official(model, {k: v for k, v in state.items() if k != "head.bias"})


def test_cached_steps_equal_one_teacher_forced_pass(bundle: Bundle) -> None:
    prompts = ["a photo of a dog", "a photo of two red cars left of a cat"]
    trace = Trace()
    sample(bundle, prompts, 2, Settings([2.0] * 3, [1.0, 0.9, 0.8]), fast=False, trace=trace)
    model = bundle.generator.model
    ids = [Tokenizer().encode(p) for p in prompts]
    tables = (*SCHEDULE.rope_all(TINY.head_dim), SCHEDULE.block_mask())
    cached = torch.cat([d.view(4, 2, -1, 8) for d in trace.deltas], 2)
    inputs = torch.cat(trace.inputs[1:], 1).view(2, 2, -1, 8)
    for p, sequence in enumerate(ids):
        states = bundle.generator.text(torch.tensor([sequence]))
        for row, text in ((p, states), (2 + p, model.unconditional(len(sequence)))):
            for candidate in range(2):
                wanted = model(text, None, inputs[p, candidate][None], SCHEDULE, tables)
                assert torch.allclose(cached[row, candidate], wanted[0], atol=1e-5)


def test_candidates_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    settings = Settings([3.0] * 3, [1.0, 0.75, 0.5])
    many = sample(bundle, ["a dog", "a cat and a car"], 3, settings, seed=4, fast=False)
    alone = sample(bundle, ["a cat and a car"], 2, settings, seed=4, fast=False)
    assert torch.allclose(many[1, :2], alone[0], atol=1e-6)


def test_padded_text_is_ignored(bundle: Bundle) -> None:
    model, states = bundle.generator.model, torch.randn(1, 3, 128)
    bias = torch.tensor([0.0, 0, 0, CLOSED])[None, None, None]
    short = model.condition(states)
    padded = model.condition(torch.cat([states, torch.randn(1, 1, 128)], 1), bias)
    assert torch.allclose(short.sos, padded.sos, atol=1e-5) and torch.allclose(short.gss, padded.gss, atol=1e-5)


def test_patches_keep_infinitys_channel_order() -> None:
    x = torch.arange(2 * 4 * 6).view(1, 2, 4, 6).float()
    patches = to_tokens(x, patchify=True)
    assert patches.shape == (1, 6, 8)
    c, dy, dx, row, column = 1, 1, 0, 1, 2
    assert patches[0, row * 3 + column, c * 4 + 2 * dy + dx] == x[0, c, 2 * row + dy, 2 * column + dx]
    assert torch.equal(from_tokens(patches, (2, 3), patchify=True), x)


def test_patchified_sampling() -> None:
    torch.manual_seed(0)
    schedule = Schedule.square((1, 2), reference=8, patchify=True)
    config = InfinityConfig(2, 64, 4, 128, 32, 4 * 8, 2)
    generator = Generator(config, TextConfig(vocab_size=len(Tokenizer()))).eval()
    vae = Vae(VaeConfig(8, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4))
    patched = Bundle(generator, vae, BitQuantizer(8, schedule.vae_grids), schedule, {})
    trace = Trace()
    latents = sample(patched, ["a dog"], 2, Settings([3.0] * 2, [1.0] * 2), fast=False, trace=trace)
    assert latents.shape == (1, 2, 8, 4, 4)
    assert [b.shape[2:] for b in trace.bits] == [(1, 32), (4, 32)]


def test_negative_prompts_may_have_another_length(bundle: Bundle) -> None:
    both = conditions(bundle, ["a dog"], ["a red cat and a blue car"])
    alone = conditions(bundle, ["a dog"])
    assert torch.allclose(both.sos[0], alone.sos[0], atol=1e-5)
    assert not torch.allclose(both.sos[1], alone.sos[1])


def test_guidance_and_top_p() -> None:
    cond, uncond = torch.tensor([1.0]), torch.tensor([0.5])
    assert guided(cond, uncond, 3.0, 0.5).item() == pytest.approx((3 * 1.0 - 2 * 0.5) / 0.5)
    edge = math.log(0.97 / 0.03)
    delta = torch.tensor([edge + 1e-3, -edge - 1e-3, 0.0, 0.0])
    noise = torch.tensor([0.9999, 0.0, 0.4, 0.6])
    assert draw(delta, noise, 0.97).tolist() == [True, False, True, False]


def test_noise_is_keyed() -> None:
    a = keyed_noise(1, 2, 3, (4, 8))
    assert torch.equal(a, keyed_noise(1, 2, 3, (4, 8)))
    assert not torch.equal(a, keyed_noise(1, 3, 3, (4, 8))) and not torch.equal(a, keyed_noise(1, 2, 4, (4, 8)))


def test_training_targets_and_text_dropout(bundle: Bundle) -> None:
    encoded = bundle.quantizer.encode(torch.randn(2, 8, 3, 3))
    ids = torch.tensor([[3, 1, 0], [4, 5, 1]])
    tables = (*SCHEDULE.rope_all(TINY.head_dim), SCHEDULE.block_mask())
    inputs = torch.cat(encoded.inputs, 1)
    kept = bundle.generator(ids, inputs, SCHEDULE, tables, torch.tensor([False, False]))
    dropped = bundle.generator(ids, inputs, SCHEDULE, tables, torch.tensor([True, False]))
    assert kept.shape == torch.cat([tokens(b) for b in encoded.bits], 1).shape
    assert not torch.allclose(kept[0], dropped[0]) and torch.allclose(kept[1], dropped[1], atol=1e-6)
