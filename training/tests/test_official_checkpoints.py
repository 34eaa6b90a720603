"""Reading official checkpoints: every layout, strict keys, and a sentence for everything that can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import export_infinity
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.vae import Vae
from ttsvar.infinity.official.errors import ExportError, size
from ttsvar.infinity.official.keys import NESTING, VAE_NESTING, detect_variant, shapes_of, transformer_source, vae_source
from ttsvar.infinity.official.resolutions import SIZES, schedules
from ttsvar.infinity.official.shims import import_official, varlen_attention
from ttsvar.infinity.official.tensors import TensorSource, open_checkpoint, random_source
from ttsvar.infinity.official.text_folder import read_config
from ttsvar.infinity.official.tiny import VARIANTS as TINY
from ttsvar.infinity.official.variants import VARIANTS

SQUARE = TINY["square"]
IGNORED = {"lvl_1L": torch.zeros(1, 4), "attn_bias_for_masking": torch.zeros(1, 1, 2, 2)}


def modules() -> tuple[Infinity, Vae]:
    with torch.device("meta"):
        return Infinity(SQUARE.transformer), Vae(SQUARE.vae)


def state_of(module: torch.nn.Module) -> dict[str, Tensor]:
    source = random_source(shapes_of(module), 3)
    return {name: source.read(name) for name in source.shapes}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return state_of(modules()[0])


def opened(path: Path) -> TensorSource:
    return transformer_source(open_checkpoint(path, NESTING), SQUARE, modules()[0])


def assert_same(source: TensorSource, state: dict[str, Tensor]) -> None:
    assert set(source.shapes) == set(state)
    for name, value in state.items():
        assert torch.equal(source.float32(name), value), name


def test_flat_and_nested_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({**state, **IGNORED}, tmp_path / "flat.pth")
    torch.save({"epoch": 3, "trainer": {"gpt_fsdp": state}}, tmp_path / "nested.pth")
    for name in ("flat", "nested"):
        assert_same(opened(tmp_path / f"{name}.pth"), state)
    record = open_checkpoint(tmp_path / "flat.pth").record()
    assert record["file"] == "flat.pth" and record["bytes"] == (tmp_path / "flat.pth").stat().st_size


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_sharded_folders(tmp_path: Path, state: dict[str, Tensor], suffix: str) -> None:
    names = list(state)
    places = {name: f"part-{i % 2}.{suffix}" for i, name in enumerate(names)}
    for file in set(places.values()):
        shard = {name: state[name].contiguous() for name in names if places[name] == file}
        save_file(shard, tmp_path / file) if suffix == "safetensors" else torch.save(shard, tmp_path / file)
    (tmp_path / f"model.{suffix}.index.json").write_text(json.dumps({"weight_map": places}))
    for other in ("flax_model.msgpack", "another.bin"):  # of another framework; and not downloaded
        (tmp_path / f"{other}.index.json").write_text(json.dumps({"weight_map": {"x": other, "y": f"2-{other}"}}))
    assert_same(opened(tmp_path), state)
    (tmp_path / "another.bin.index.json").unlink()
    (tmp_path / f"part-1.{suffix}").unlink()
    with pytest.raises(ExportError, match=rf"lists 2 files, but part-1\.{suffix} is missing; download the rest"):
        opened(tmp_path)


def test_damaged_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(state, whole)
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ExportError, match=r"cut\.pth is no complete PyTorch file .*download it again"):
        opened(tmp_path / "cut.pth")
    save_file(state, tmp_path / "whole.safetensors")
    data = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ExportError, match="no complete safetensors file"):
        opened(tmp_path / "cut.safetensors")
    torch.save({"args": Path("x"), **state}, tmp_path / "objects.pth")
    with pytest.raises(ExportError, match="Python objects besides tensors"):
        opened(tmp_path / "objects.pth")
    torch.save({**state, "head.bias": torch.full_like(state["head.bias"], torch.nan)}, tmp_path / "nan.pth")
    with pytest.raises(ExportError, match=r"head\.bias holds NaN"):
        opened(tmp_path / "nan.pth").float32("head.bias")
    with pytest.raises(ExportError, match="does not exist; check the path"):
        opened(tmp_path / "absent.pth")
    with pytest.raises(ExportError, match="neither model.safetensors nor pytorch_model.bin"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("key", "option"),
    [("block_chunks.0.module.0.ca_gamma", "cross_attn_layer_scale"), ("norm0_ve.weight", "nm0"),
     ("head.0.weight", "head_depth"), ("block_chunks.1.module.0.ffn.fcg.weight", "swiglu"),
     ("block_chunks.0.module.0.ada_lin.1.weight", "shared_aln")],
)  # fmt: skip
def test_unsupported_options_are_named(tmp_path: Path, state: dict[str, Tensor], key: str, option: str) -> None:
    torch.save({**state, key: torch.zeros(1)}, tmp_path / "t.pth")
    with pytest.raises(ExportError, match=f"trained with {option}.*{key}"):
        opened(tmp_path / "t.pth")


def test_missing_unknown_and_misshapen_keys(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "t.pth"
    torch.save({k: v for k, v in state.items() if k != "head.bias"} | {"extra.thing": torch.zeros(2)}, path)
    with pytest.raises(ExportError, match=r"missing head\.bias; unknown extra\.thing; check that the file is complete"):
        opened(path)
    torch.save({**state, "head.weight": state["head.weight"].t().contiguous()}, path)
    with pytest.raises(ExportError, match=r"head\.weight has the shape \[64, 16\], but \[16, 64\] is needed"):
        opened(path)
    scale = "block_chunks.0.module.0.sa.scale_mul_1H11"
    torch.save({**state, scale: state[scale].reshape(1, 1, -1, 1)}, path)
    assert_same(opened(path), state)
    torch.save({k: v for k, v in state.items() if not k.endswith("zero_k_bias")}, path)
    assert_same(opened(path), state)


def fake(variant: str) -> TensorSource:
    with torch.device("meta"):
        module = Infinity(VARIANTS[variant].transformer)
    return random_source(shapes_of(module), 0)


def test_variants_are_recognised() -> None:
    for name in ("infinity_2b", "infinity_8b", "infinity_layer48"):
        assert detect_variant(fake(name)).name == name
    with torch.device("meta"):
        model = Infinity(VARIANTS["infinity_2b"].transformer)
    with pytest.raises(ExportError, match="is infinity_layer12, not infinity_2b; use --variant infinity_layer12"):
        transformer_source(fake("infinity_layer12"), VARIANTS["infinity_2b"], model)
    with pytest.raises(ExportError, match="none of the known variants"):
        detect_variant(random_source(shapes_of(modules()[0]), 0))
    with pytest.raises(ExportError, match="is no Infinity transformer"):
        detect_variant(random_source(shapes_of(modules()[1]), 0))


def test_vae_in_both_spellings(tmp_path: Path) -> None:
    vae = modules()[1]
    state = state_of(vae)
    short = {name.replace(".conv.weight", ".weight").replace(".conv.bias", ".bias").replace(".norm.", "."): value
             for name, value in state.items()}  # fmt: skip
    assert "decoder.up.2.upsample.conv.weight" in short and "decoder.conv_in.weight" in short
    for spelling in (state, short):
        torch.save({"vae": {**spelling, "quantizer.lfq.mask": torch.zeros(8)}, "ema": {}}, tmp_path / "v.pth")
        assert_same(vae_source(open_checkpoint(tmp_path / "v.pth", VAE_NESTING), vae), state)
    with torch.device("meta"):
        other = Vae(VARIANTS["infinity_2b"].vae)
    with pytest.raises(ExportError, match=r"VAE with 8 channels, .* trained with 32; use infinity_vae_d32reg\.pth"):
        vae_source(open_checkpoint(tmp_path / "v.pth", VAE_NESTING), other)
    torch.save({"vae": {k: v for k, v in state.items() if "encoder" not in k}}, tmp_path / "v.pth")
    with pytest.raises(ExportError, match="does not fit the VAE: missing encoder"):
        vae_source(open_checkpoint(tmp_path / "v.pth", VAE_NESTING), vae)


def test_text_folders(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"config\.json is missing; download the whole folder of google/flan-t5-xl"):
        read_config(tmp_path, 2048)
    config = {"model_type": "t5", "feed_forward_proj": "gated-gelu", "vocab_size": 9, "d_model": 512, "d_kv": 64,
              "d_ff": 1024, "num_layers": 2, "num_heads": 8, "relative_attention_num_buckets": 32}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path, 512).d_ff == 1024
    with pytest.raises(ExportError, match="T5 of width 512, but this transformer needs 2048; use google/flan-t5-xl"):
        read_config(tmp_path, 2048)
    (tmp_path / "config.json").write_text(json.dumps({**config, "feed_forward_proj": "relu"}))
    with pytest.raises(ExportError, match="needs T5 with gated-gelu"):
        read_config(tmp_path, 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--checkpoint", "t.pth"], "--vae and --text is missing"), (["--random", "1"], "--random needs --variant"),
     (["--checkpoint", "t.pth", "--vae", "v.pth", "--text", "t5"], "t.pth does not exist")],
)  # fmt: skip
def test_command_line_says_what_is_missing(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["export_infinity.py", *options, "--out", "model"])
    assert export_infinity.main() == 2
    assert message in capsys.readouterr().err and not (tmp_path / "model").exists()


def test_estimate_needs_no_weights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = "export_infinity.py --random 1 --variant infinity_8b --dtype int4 --estimate --out x"
    monkeypatch.setattr("sys.argv", command.split())
    assert export_infinity.main() == 0
    assert capsys.readouterr().out.startswith("disk: 6.0 GiB (text_encoder 815.9 MiB")
    assert size(3 * 2**30) == "3.0 GiB" and size(2048) == "2.0 KiB" and size(7) == "7 bytes"


def test_schedules_are_the_official_ones() -> None:
    every = {n.id: n for n in schedules()}
    assert len(every) == 60 and len({n.ratio for n in every.values()}) == 15
    totals = {
        "1:1": (521, 2521, 6425, 10521), "4:5": (614, 2814, 6854, 10774), "3:4": (665, 2657, 7085, 10973),
        "2:3": (533, 2759, 6941, 10997), "4:7": (472, 2628, 7220, 11252), "1:2": (451, 2681, 7219, 11269),
        "2:5": (555, 2555, 6805, 10805), "1:3": (509, 2588, 7016, 11123),
    }  # fmt: skip
    for name, wanted in totals.items():
        wide, high = name.split(":")
        for turned in (name, f"{high}:{wide}"):
            assert tuple(sum(every[f"{turned}@{s}"].schedule.lengths) for s in SIZES) == wanted
    assert every["3:2@1M"].ratio == 0.666 and every["3:2@1M"].entry(16)["pixels"] == [832, 1248]
    patched = next(n for n in schedules(patchify=True) if n.id == "1:1@1M").entry(8)
    assert patched["pixels"] == [1024, 1024] and patched["scales"][-1] == [64, 64]


def test_rotary_positions_round_half_to_even_in_float32() -> None:
    every = {n.id: n for n in schedules()}
    rows = every["1:1@0.25M"].entry(16)["rope"]["y"]
    assert rows[3] == [0, 11, 21, 32, 43, 53] and rows[5] == [0, 5, 11, 16, 21, 27, 32, 37, 43, 48, 53, 59]
    tall = every["4:5@0.06M"].entry(16)  # 70 rows at the end: 70 / 20 = 3.5
    assert tall["rope"]["y"][6][:5] == [0, 4, 7, 10, 14]
    # 111/54 in float32: a tie that float64 would not see
    last = every["1:3@0.25M"].entry(16)["rope"]["y"][9]
    in64 = [round(i * (111 / 54)) for i in range(54)]
    assert len(last) == 54 and sum(a != b for a, b in zip(last, in64)) == 1


def test_official_repository_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is no checkout of the official repository .*git clone"):
        import_official(tmp_path)


def test_packed_attention_equals_padded() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths, queries = [3, 5], [2, 2]
    q = torch.randn(4, 2, 8, generator=generator)
    kv = torch.randn(8, 2, 2, 8, generator=generator)
    ends = torch.tensor([0, 3, 8])
    out = varlen_attention(q, kv, torch.tensor([0, 2, 4]), ends, max(queries), max(lengths), softmax_scale=0.5)
    for i in range(2):
        one = [t.transpose(0, 1)[None] for t in (q[2 * i : 2 * i + 2], *kv[ends[i] : ends[i + 1]].unbind(1))]
        wanted = torch.nn.functional.scaled_dot_product_attention(*one, scale=0.5)
        torch.testing.assert_close(out[2 * i : 2 * i + 2], wanted[0].transpose(0, 1), atol=1e-5, rtol=0)
