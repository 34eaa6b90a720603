"""ONNX graphs against PyTorch, storage in half precision, manifest and sidecar."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from test_generator import SCHEDULE, TINY, randomise
from ttsvar.infinity import graphs
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.export import export, round_weights
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.model import Condition
from ttsvar.infinity.sample import Settings
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path, dict]:
    torch.manual_seed(0)
    generator = Generator(TINY, TextConfig(vocab_size=len(Tokenizer()))).eval().requires_grad_(False)
    randomise(generator)
    vae = Vae(VaeConfig(8, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4)).eval().requires_grad_(False)
    bundle = Bundle(generator, vae, BitQuantizer(8, SCHEDULE.vae_grids), SCHEDULE, {})
    folder = tmp_path_factory.mktemp("model")
    manifest = export(bundle, folder, Settings([3.0] * 3, [0.7, 0.5, 0.3]))
    return round_weights(bundle), folder, manifest


def run(folder: Path, name: str, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(None, {k: v.numpy() for k, v in inputs.items()})
    return dict(zip([o.name for o in session.get_outputs()], outputs))


def close(actual: np.ndarray, wanted: torch.Tensor) -> None:
    np.testing.assert_allclose(actual, wanted.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 5, 20])
def test_text_encoder(exported, length: int) -> None:  # noqa: ANN001
    bundle, folder, _ = exported
    ids = torch.randint(1, 100, (1, length))
    close(run(folder, "text_encoder", {"input_ids": ids})["text_states"], bundle.generator.text(ids))


@pytest.mark.parametrize(("groups", "length"), [(1, 1), (2, 4), (4, 7)])
def test_condition(exported, groups: int, length: int) -> None:  # noqa: ANN001
    bundle, folder, _ = exported
    states, bias = torch.randn(groups, length, 128), torch.zeros(groups, 1, 1, length)
    if length > 2:
        bias[0, ..., -1] = -1e4
    actual = run(folder, "condition", {"text_states": states, "text_bias": bias})
    wanted = bundle.generator.model.condition(states, bias)
    close(actual["sos"], wanted.sos)
    close(actual["gss"], wanted.gss)
    close(actual["head_ss"], wanted.head_ss)
    for i, (k, v) in enumerate(wanted.memory):
        close(actual[f"ca_k_{i}"], k)
        close(actual[f"ca_v_{i}"], v)


@pytest.mark.parametrize(("groups", "batch", "length", "past"), [(1, 1, 1, 0), (2, 3, 1, 0), (2, 2, 9, 5)])
def test_step(exported, groups: int, batch: int, length: int, past: int) -> None:  # noqa: ANN001
    bundle, folder, _ = exported
    model = bundle.generator.model
    inputs = graphs.example(model, groups, batch, length, past, 3)
    actual = run(folder, "step", inputs)
    pairs = [(inputs[f"ca_k_{i}"], inputs[f"ca_v_{i}"]) for i in range(TINY.depth)]
    cache = [(inputs[f"past_k_{i}"], inputs[f"past_v_{i}"]) for i in range(TINY.depth)]
    condition = Condition(inputs["gss"], inputs["gss"], inputs["head_ss"], pairs, inputs["text_bias"])
    rope = (inputs["rope_cos"], inputs["rope_sin"])
    delta, new = model.step(inputs["z"], inputs["x_add"], rope, condition, cache)
    close(actual["delta"], delta)
    for i, (k, v) in enumerate(new):
        close(actual[f"new_k_{i}"], k)
        close(actual[f"new_v_{i}"], v)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 5)])
def test_vae(exported, shape: tuple[int, int, int]) -> None:  # noqa: ANN001
    bundle, folder, _ = exported
    batch, h, w = shape
    latent, image = torch.randn(batch, 8, h, w), torch.rand(batch, 3, 2 * h, 2 * w) * 2 - 1
    close(run(folder, "vae_decode", {"latent": latent})["image"], bundle.vae.decode(latent))
    close(run(folder, "vae_encode", {"image": image})["features"], bundle.vae.encode(image))


def test_weights_are_stored_in_half_precision(exported) -> None:  # noqa: ANN001
    bundle, folder, _ = exported
    graph = onnx.load(folder / "step.onnx").graph
    floats = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert sum(int(np.prod(t.dims)) for t in floats) < 200
    names = {v.name for v in (*graph.input, *graph.output)}
    assert {"z", "x_add", "rope_cos", "rope_sin", "gss", "head_ss", "text_bias", "ca_k_0", "past_v_3"} <= names
    assert {"delta", "new_k_0", "new_v_3"} <= names and "sos" not in names


def test_folding_the_head_keeps_differences(exported) -> None:  # noqa: ANN001
    bundle, *_ = exported
    assert bundle.generator.model.head.weight[0::2].abs().max() == 0


def test_manifest(exported) -> None:  # noqa: ANN001
    bundle, folder, manifest = exported
    assert json.loads((folder / "manifest.json").read_text()) == json.loads(json.dumps(manifest))
    stages = manifest["schedules"][0]["stageFlops"]
    assert [stage["guided"] for stage in stages] == [2 * stage["unguided"] for stage in stages] and len(stages) == 3
    assert manifest["schedules"][0]["rope"]["y"] == [[0], [0, 2], [0, 1, 2]]
    assert len(manifest["codeMagnitude"]) == 3 and len(manifest["sampling"]["guidance"]) == 3
    data = (folder / "weights.bin").read_bytes()
    for name, entry in manifest["sidecar"]["tensors"].items():
        values = np.frombuffer(data, "<f4", int(np.prod(entry["shape"])), entry["offset"]).reshape(entry["shape"])
        key = "lvl_embed.weight" if name == "lvl_embed" else name
        assert np.array_equal(values, bundle.generator.model.state_dict()[key].numpy())
