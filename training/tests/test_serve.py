"""Candidates of the sampler server: against the reference sampler, alone and in company, in low precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from serving import PROMPT, SCHEDULE, finish, loaded, network, request  # noqa: F401 (loaded and network are fixtures)
from ttsvar.infinity import sample
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.layers import explicit_attention
from ttsvar.infinity.official import keys, tiny
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.text_folder import write_tiny_tokenizer
from ttsvar.infinity.serving.loading import Loaded, Placement, load_official, load_parts, load_tiny
from ttsvar.infinity.serving.network import Entry, Network, Stage, fused_attention
from ttsvar.infinity.serving.population import Population


def test_the_same_bits_give_the_logits_and_codes_of_the_reference_sampler() -> None:
    for kind in ("square", "patchify"):
        loaded = load_tiny(kind, SCHEDULE, Placement())
        shape = loaded.shapes[0]
        generator = Generator(loaded.model.config, loaded.text.config).eval()
        generator.model.load_state_dict(loaded.model.state_dict())
        generator.text.load_state_dict(loaded.text.state_dict())
        bundle = Bundle(generator, loaded.vae, shape.quantizer, shape.schedule, {})
        trace, settings = sample.Trace(), sample.Settings([3.0] * 7, [0.5] * 7)
        reference_ids = {"encode": lambda _, text, tokenize=loaded.tokenize: tokenize(text)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sample, "Tokenizer", type("Tokenizer", (), reference_ids))
            latents = sample.sample(bundle, [PROMPT], 1, settings, fast=False, trace=trace)
        forced = [bits.flatten().to(torch.uint8).numpy() for bits in trace.bits]
        network, seen = Network(loaded, Placement()), []
        population = Population.begin(network, request(loaded, keep=forced), ["c0"])
        for scale in range(7):
            row = population.rows[0]
            delta, _ = network.run(Stage(shape, scale, 2), [Entry(population.condition, row.code, row.past)])
            seen.append(np.abs(delta.reshape(2, -1) - trace.deltas[scale].flatten(1).numpy()).max())
            population, _ = population.step()
        assert max(seen) < 1e-4
        assert torch.allclose(population.rows[0].code, latents[0, 0], atol=1e-5)


def test_a_candidate_does_not_depend_on_who_else_is_there(loaded: Loaded, network: Network) -> None:
    together = finish(Population.begin(network, request(loaded), ["c0", "c1", "c2"]))
    alone = finish(Population.begin(network, request(loaded), ["c1"]))
    assert torch.equal(together.rows[1].code, alone.rows[0].code)
    assert np.array_equal(together.decode([2, 1], (16, 8))[1], alone.decode([0], (16, 8))[0])


def test_passes_of_several_candidates_agree_up_to_rounding(loaded: Loaded, network: Network) -> None:
    wide = Network(loaded, Placement(rows=2))
    forced = [row for row in finish(Population.begin(network, request(loaded), ["c4"])).rows[0].bits]
    results = []
    for each in (network, wide):
        population = finish(Population.begin(each, request(loaded, keep=forced[:3]), ["c0", "c1", "c2"]), 5)
        population = population.pick([(2, "c2"), (0, "c0"), (2, "c2.1")])
        entries = [Entry(population.condition, row.code, row.past) for row in population.rows]
        results.append(each.run(Stage(loaded.shapes[0], 5, 2), entries)[0])
    assert np.abs(results[0] - results[1]).max() < 1e-4


def test_picking_copies_no_keys_or_values(loaded: Loaded, network: Network) -> None:
    population = finish(Population.begin(network, request(loaded), ["c0", "c1", "c2"]), 3)
    picked = population.pick([(2, "c2"), (2, "c2.1")])
    assert [row.id for row in picked.rows] == ["c2", "c2.1"]
    assert all(row.past is population.rows[2].past for row in picked.rows)
    # The first scale is computed once for all, the last one's keys and values are not kept.
    assert len({id(row.past[0].piece) for row in population.rows}) == 1
    assert len(finish(picked).rows[0].past) == 6


def test_fused_attention_is_attention() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 5, 16), torch.randn(2, 4, 9, 16), torch.randn(2, 4, 9, 16)
    assert torch.allclose(fused_attention(q, k, v, None, 1.0), explicit_attention(q, k, v, None, 1.0), atol=1e-5)


def test_low_precision_stays_close() -> None:
    place = Placement(dtype=torch.bfloat16)
    loaded, exact = load_tiny("square", SCHEDULE, place), load_tiny("square", SCHEDULE, Placement())
    low, full = Network(loaded, place), Network(exact, Placement())
    assert loaded.model.blocks[0].ffn.fc1.weight.dtype == torch.bfloat16
    deltas = []
    for network, model in ((low, loaded), (full, exact)):
        forced = [np.arange(model.shapes[0].bit_count(scale), dtype=np.uint8) % 2 for scale in range(7)]
        population = finish(Population.begin(network, request(model, keep=forced), ["c0"]), 4)
        row = population.rows[0]
        entry = Entry(population.condition, row.code, row.past)
        deltas.append(network.run(Stage(model.shapes[0], 4, 2), [entry])[0])
        image = population.decode([0], (22, 11))
        assert image.shape == (1, 88, 44, 3)
    error = np.sqrt(np.square(deltas[0] - deltas[1]).mean() / np.square(deltas[1]).mean())
    assert 0 < error < 0.05


def test_official_files_are_served(tmp_path: Path, loaded: Loaded, network: Network, monkeypatch) -> None:  # noqa: ANN001
    parts = tiny.tiny_parts("square")
    for name, source in (("t", parts.transformer_weights), ("v", parts.vae_weights), ("text", parts.text_weights)):
        state = {key: source.read(key) for key in source.shapes}
        if name == "text":
            (tmp_path / name).mkdir()
            write_tiny_tokenizer(tmp_path / name, parts.text_config, 32)
            save_file(state, tmp_path / name / "model.safetensors")
        else:
            torch.save({"vae": state} if name == "v" else state, tmp_path / f"{name}.pth")
    # The smallest official type would be half a gigabyte.
    monkeypatch.setattr(keys, "VARIANTS", {"tiny": parts.variant})
    place = Placement()
    official = load_official(tmp_path / "t.pth", tmp_path / "v.pth", tmp_path / "text", SCHEDULE, place)
    assert official.name == "tiny" and official.version.startswith("tiny@") and official.version != loaded.version
    assert [shape.id for shape in official.shapes[:2]] == [SCHEDULE, "1:1@0.06M"] and len(official.shapes) == 60
    assert official.flops == loaded.flops
    finished = [
        finish(Population.begin(each, request(model), ["c0"]), 4)
        for each, model in ((Network(official, place), official), (network, loaded))
    ]
    assert torch.equal(finished[0].rows[0].code, finished[1].rows[0].code)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ExportError, match="2:1@1M"):
        load_parts(tiny.tiny_parts("square"), list, "7:1@1M", Placement())
