"""The exporter of official checkpoints: against an independent implementation, in all storages, all or nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import plain_infinity
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from test_generator import SCHEDULE, TINY, randomise
from tokenizers import Tokenizer
from torch import Tensor

from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.quantisation import with_graphs
from ttsvar.infinity.sample import Settings, Trace, sample
from ttsvar.infinity.vae import Vae, VaeConfig, to_uint8
from ttsvar.infinity.official import export as exporting
from ttsvar.infinity.official import placement, verify
from ttsvar.infinity.official.blockwise import dequantise, quantise
from ttsvar.infinity.official.cached import graph_step, run_cached, run_graph, starts
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.export import Request, check_folder, export
from ttsvar.infinity.official.forced import force, random_bits
from ttsvar.infinity.official.parts import Parts
from ttsvar.infinity.official.placement import Storage
from ttsvar.infinity.official.resolutions import schedules
from ttsvar.infinity.official.streamed import loaded
from ttsvar.infinity.official.tiny import VARIANTS, tiny_parts
from ttsvar.text.encoder import TextConfig

CLOSED = -1e4


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("official")
    for kind in VARIANTS:
        export(tiny_parts(kind), Request(out / kind, Storage(), None, sizes=("0.06M",), verify_scales=2, quiet=True))
    return {kind: out / kind for kind in VARIANTS}


def request_for(out: Path, **options: object) -> Request:
    return Request(**{  # type: ignore[arg-type]
        "out": out, "storage": Storage(), "tokenizer": None, "sizes": ("0.06M",), "verify_scales": 2, "quiet": True,
        **options,
    })  # fmt: skip


def by_graphs(
    parts: Parts, folder: Path, texts: list[Tensor], inputs: list[Tensor], schedule_id: str, picks: dict | None = None
) -> list[Tensor]:
    """Deltas ``[2, B, L, dv]`` of an exported folder under two texts of any length."""
    named = next(n for n in schedules(parts.variant.patchify) if n.id == schedule_id)
    length = max(map(len, texts))
    states, bias = torch.zeros(2, length, texts[0].shape[1]), torch.zeros(2, 1, 1, length)
    for group, text in enumerate(texts):
        states[group, : len(text)] = text
        bias[group, ..., len(text) :] = CLOSED
    conditions = run_graph(folder / "condition.onnx", {"text_states": states, "text_bias": bias})
    read = parts.transformer_weights.float32
    host = (read("pos_start"), read("word_embed.bias"), read("lvl_embed.weight"), len(inputs))
    adds = starts(conditions.pop("sos"), *host)
    step = graph_step(folder / "step.onnx", {**conditions, "text_bias": bias})
    return run_cached(step, inputs, adds, named.schedule, parts.transformer.config.head_dim, picks)


@pytest.mark.parametrize(
    ("kind", "schedule_id", "text_length", "other_length"),
    [("square", "1:1@0.06M", 7, 7), ("square", "1:3@0.06M", 1, 1), ("square", "7:4@0.06M", 32, 5),
     ("patchify", "3:2@0.06M", 4, 9)],
)  # fmt: skip
@torch.no_grad()
def test_graphs_agree_with_an_independent_implementation(
    folders: dict[str, Path], kind: str, schedule_id: str, text_length: int, other_length: int
) -> None:
    parts = tiny_parts(kind)
    c, channels, patchify = parts.transformer.config, parts.vae.config.channels, parts.variant.patchify
    named = next(n for n in schedules(patchify) if n.id == schedule_id)
    schedule = named.schedule
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randn(n, c.text_channels, generator=generator) for n in (text_length, other_length)]
    bits = random_bits(schedule, c.token_channels, 1, 2)
    forced = force(schedule, channels, bits)
    found = by_graphs(parts, folders[kind], texts, forced.inputs, schedule_id)

    grids = list(schedule.scales)
    inputs, latent = plain_infinity.code_walk([b[0] for b in bits], grids, channels, patchify)
    for ours, plain in zip(forced.inputs, inputs):
        torch.testing.assert_close(ours[0], plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(forced.latents[-1][0], latent, atol=1e-5, rtol=0)
    state = {name: parts.transformer_weights.float32(name) for name in parts.transformer_weights.shapes}
    for group, text in enumerate(texts):
        wanted = plain_infinity.deltas(
            state, text, inputs, grids, schedule.reference, c.heads, c.depth, c.depth // c.block_chunks
        )
        assert max(float(w.abs().max()) for w in wanted) > 1
        for ours, plain in zip(found, wanted):
            torch.testing.assert_close(ours[group, 0], plain, atol=1e-4, rtol=0)
    image = to_uint8(run_graph(folders[kind] / "vae_decode.onnx", {"latent": forced.latents[-1]})["image"])
    with loaded(parts.vae, "", parts.vae_weights.float32):
        wanted_image = to_uint8(parts.vae.decode(latent[None]))
    assert int((image.int() - wanted_image.int()).abs().max()) <= 1


@torch.no_grad()
def test_pruned_and_duplicated_candidates_equal_a_fresh_run(folders: dict[str, Path]) -> None:
    parts = tiny_parts("square")
    named = next(n for n in schedules() if n.id == "1:1@0.06M")
    c, channels, picks, after = parts.transformer.config, parts.vae.config.channels, [2, 0, 0], 2
    texts = [torch.randn(5, c.text_channels), torch.randn(5, c.text_channels)]
    first, later = (random_bits(named.schedule, c.token_channels, 3, seed) for seed in (3, 4))
    fresh = force(named.schedule, channels, [first[s][picks] if s <= after else later[s] for s in range(7)])
    inputs = force(named.schedule, channels, first, after + 1).inputs + fresh.inputs[after + 1 :]
    pruned = by_graphs(parts, folders["square"], texts, inputs, named.id, {after: picks})
    wanted = by_graphs(parts, folders["square"], texts, fresh.inputs, named.id)
    for scale in range(after + 1, 7):
        torch.testing.assert_close(pruned[scale], wanted[scale], atol=2e-5, rtol=0)
    assert not torch.allclose(wanted[6][:, 0], wanted[6][:, 1], atol=0.1)


FIXTURE = Path(__file__).parents[2] / "test" / "fixtures" / "models" / "infinity-tiny"


@pytest.mark.parametrize("case", json.loads((FIXTURE / "golden.json").read_text())["cases"], ids=lambda c: c["name"])
@torch.no_grad()
def test_committed_folders_give_their_golden_values(case: dict) -> None:
    index = json.loads((FIXTURE / "golden.json").read_text())["arrays"]
    data = (FIXTURE / "golden.bin").read_bytes()

    def array(name: str) -> Tensor:
        entry = index[f"{case['name']}/{name}"]
        dtype = "<f4" if entry["dtype"] == "float32" else "u1"
        values = np.frombuffer(data, dtype, int(np.prod(entry["shape"])), entry["offset"])
        return torch.from_numpy(values.reshape(entry["shape"]).copy())

    folder = FIXTURE / case["model"]
    manifest = check_folder(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    parts, texts = tiny_parts(case["model"]), []
    for prompt, ids in ((case["prompt"], case["ids"]), (case["negative"], case["negativeIds"])):
        if prompt is None:
            texts.append(parts.transformer_weights.float32("cfg_uncond")[: len(texts[0])])
            continue
        assert tokenizer.encode(prompt).ids == ids
        texts.append(run_graph(folder / "text_encoder.onnx", {"input_ids": torch.tensor([ids])})["text_states"][0])
    scales = range(7)
    picks = {case["keep"]["afterScale"]: case["keep"]["candidates"]}
    found = by_graphs(parts, folder, texts, [array(f"z_{s}") for s in scales], case["schedule"], picks)
    tolerance = 2e-3 if manifest["dtype"] == "int8" else 1e-4
    for scale in scales:
        torch.testing.assert_close(found[scale], array(f"delta_{scale}"), atol=tolerance, rtol=0)
    image = to_uint8(run_graph(folder / "vae_decode.onnx", {"latent": array("latent")})["image"])
    assert int((image.int() - array("image").int()).abs().max()) <= 1


@torch.no_grad()
def test_the_embedded_model_runs_through_the_same_exporter() -> None:
    torch.manual_seed(0)
    model = Infinity(TINY).eval().requires_grad_(False)
    randomise(model)
    bundle = Bundle(Generator(TINY, TextConfig()), Vae(VaeConfig(8, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4)),
                    BitQuantizer(8, SCHEDULE.vae_grids), SCHEDULE, {})  # fmt: skip
    bundle.generator.model = model
    through, written = with_graphs(bundle, Storage(32))
    quantised, smaller = with_graphs(bundle, Storage(8))
    assert smaller["step"].total < 0.5 * written["step"].total
    settings, runs = Settings([3.0] * 3, [0.7, 0.5, 0.3]), []
    for source in (bundle, through, quantised):
        runs.append(Trace())
        sample(source, ["a photo of a dog"], 2, settings, fast=False, trace=runs[-1])
    for exact, ours in zip(runs[0].deltas, runs[1].deltas):
        torch.testing.assert_close(ours.view(-1), exact.view(-1), atol=1e-4, rtol=0)
    assert 1e-4 < float((runs[2].deltas[0].view(-1) - runs[0].deltas[0].view(-1)).abs().max()) < 0.5


def test_manifest_lists_every_file_and_all_schedules(folders: dict[str, Path]) -> None:
    manifest = check_folder(folders["patchify"])
    assert {p.name for p in folders["patchify"].iterdir()} == {*exporting.listed_files(manifest), "manifest.json"}
    assert all(len(each["stageFlops"]) == len(each["scales"]) for each in manifest["schedules"])
    assert manifest["schedules"][0]["id"] == "1:1@0.06M" and len(manifest["schedules"]) == 15
    assert manifest["architecture"]["tokenChannels"] == 4 * manifest["architecture"]["codeChannels"]
    assert manifest["source"]["transformer"] == {"random": 7}
    assert manifest["verification"]["graphs"]["step"]["maxAbs"] < 1e-4
    tokenizer = Tokenizer.from_file(str(folders["patchify"] / "tokenizer.json"))
    assert tokenizer.encode("a red cup").tokens == ["▁a", "▁red", "▁cup", "</s>"]


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_product_is_what_the_runtime_computes(bits: int) -> None:
    weight = torch.randn(24, 64, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    codes, scales = quantise(weight, bits)
    rounded = dequantise(codes, scales, bits)
    steps = scales.abs().repeat_interleave(32, 1)
    assert (weight - rounded).abs().le(steps * 1.0001).all() and (weight - rounded).abs().mean() < 0.3 * steps.mean()
    assert rounded[3].abs().max() == 0
    node = helper.make_node(
        "MatMulNBits", ["x", "q", "s"], ["y"], domain="com.microsoft", K=64, N=24, bits=bits, block_size=32,
        accuracy_level=1,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["M", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["M", 24])],
        [numpy_helper.from_array(codes.numpy(), "q"), numpy_helper.from_array(scales.flatten().numpy(), "s")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    x = np.random.default_rng(0).standard_normal((5, 64), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ rounded.numpy().T, atol=1e-4)


def test_int4_with_weights_outside_the_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "INLINE_LIMIT", 0)
    folder = tmp_path / "model"
    manifest = export(tiny_parts("square"), request_for(folder, storage=Storage(4)))
    assert set(manifest["externalData"]["files"]) == {f"{name}.onnx.data" for name in manifest["graphs"]}
    figures = manifest["verification"]
    assert figures["graphs"]["step"]["rms"] < 1e-4 < figures["originalWeights"]["step"]["rms"]
    data = folder / "step.onnx.data"
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(ExportError, match=r"step\.onnx\.data has \d+ bytes, but its manifest says .*truncated copy"):
        check_folder(folder)
    with pytest.raises(ExportError, match=r"cannot load .*step\.onnx: .*; copy the model folder again"):
        verify.graph_step(folder / "step.onnx", {"ca_k_0": torch.zeros(1), "ca_v_0": torch.zeros(1, 1, 1, 1)})
    data.unlink()
    with pytest.raises(ExportError, match=r"step\.onnx\.data is missing; copy the model folder again"):
        check_folder(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(ExportError, match=r"no finished model .*: manifest\.json is missing"):
        check_folder(folder)


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_full_disk_is_seen_before_and_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tiny_parts("square")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2**20))  # type: ignore[attr-defined]
        with pytest.raises(ExportError, match=r"needs .* MiB, but .* has 1\.0 MiB free; free some space"):
            export(parts, request_for(tmp_path / "model"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    killed, other = (tmp_path / f".model.partial-{pid}" for pid in (2**22 + 1, 1))  # no such process; a running one
    killed.mkdir()
    other.mkdir()
    monkeypatch.setattr(exporting, "_write_graphs", full)
    with pytest.raises(ExportError, match=r"the disk of .* is full: .*nothing was left behind"):
        export(parts, request_for(tmp_path / "model"))
    assert left_behind(tmp_path) == [other.name]


def test_a_graph_that_strays_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storage, "rounded", lambda self, name, value: value * 1.01)
    with pytest.raises(ExportError, match=r"\.onnx differs from PyTorch by .*not usable"):
        export(tiny_parts("square"), request_for(tmp_path / "model"))
    assert left_behind(tmp_path) == []


def test_requests_that_cannot_be_met(tmp_path: Path) -> None:
    parts = tiny_parts("square")
    with pytest.raises(ExportError, match="no schedule '5:4@2M'; known are 1:1@0.06M, 4:5@0.06M"):
        export(parts, request_for(tmp_path / "model", default_schedule="5:4@2M"))
    (tmp_path / "old").mkdir()
    with pytest.raises(ExportError, match="old exists already; choose another --out"):
        export(parts, request_for(tmp_path / "old"))


def test_default_schedule_comes_first(folders: dict[str, Path]) -> None:
    order = exporting.ordered_schedules(request_for(folders["square"], default_schedule="2:3@0.06M"), False)
    assert order[0].id == "2:3@0.06M" and len({n.id for n in order}) == 15
    text = (folders["square"] / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text)["image"]["size"] == 64 and len(text.splitlines()) < 50
