"""HMAR: loss weights, masks, and the exported graphs against PyTorch."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import torch

from ttsvar.hmar.export import export, tiny
from ttsvar.hmar.masked import block_diagonal_mask, scale_weights, token_weights
from ttsvar.hmar.train import draw_mask
from ttsvar.infinity.schedule import Schedule


def test_scale_weights_are_the_published_ones() -> None:
    var = [0.0247, 0.0642, 0.1150, 0.1379, 0.1402, 0.1329, 0.1208, 0.1054, 0.0882, 0.0709]
    assert np.allclose(scale_weights([1, 2, 3, 4, 5, 6, 8, 10, 13, 16]), var, atol=5e-5)
    assert np.allclose(scale_weights([1, 2, 3, 4, 6, 8]), [0.0727, 0.1756, 0.2356, 0.2189, 0.1756, 0.1216], atol=5e-5)


def test_a_scale_sees_itself_only() -> None:
    schedule = Schedule.square([1, 2, 3])
    mask = block_diagonal_mask(schedule)
    assert (mask == 0).sum() == 1 + 16 + 81
    assert abs(token_weights(schedule).mean().item() - 1) < 1e-6


def test_masks_hide_the_same_share_of_every_scale() -> None:
    mask = draw_mask([1, 4, 16], 3)
    assert mask.shape == (3, 21, 1)
    for part in mask.split([1, 4, 16], 1):
        assert len(set(part.sum((1, 2)).tolist())) == 1 and part.sum() > 0


def test_masked_codes_do_not_count() -> None:
    bundle, part, _ = tiny()
    model = bundle.generator.model
    values, hidden = torch.randn(2, 4, 8), torch.zeros(2, 4, 1)
    hidden[:, 1] = 1
    changed = values.clone()
    changed[:, 1] += 1
    assert torch.equal(part.embed(model, values, hidden), part.embed(model, changed, hidden))
    changed[:, 2] += 1
    assert not torch.equal(part.embed(model, values, hidden), part.embed(model, changed, hidden))


def test_exported_graphs_agree_with_training(tmp_path) -> None:  # noqa: ANN001
    bundle, part, settings = tiny()
    content = export(bundle, part, tmp_path, "tiny", settings, None)
    assert [sum(p) for p in content["schedules"][0]["passes"]] == bundle.schedule.lengths
    assert json.loads((tmp_path / "manifest.json").read_text())["family"] == "hmar"
    open_graph = lambda name: onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"))  # noqa: E731
    states, bias = torch.randn(1, 5, 32), torch.zeros(1, 1, 1, 5)
    names = [o.name for o in open_graph("condition").get_outputs()]
    condition = dict(zip(names, open_graph("condition").run(None, {"text_states": states.numpy(), "text_bias": bias.numpy()})))
    # The last scale alone: in training the other scales are there, but out of sight.
    scale, length = 3, 16
    z, values, hidden = torch.randn(1, length, 8), torch.randn(1, length, 8), (torch.rand(1, length, 1) < 0.5).float()
    cos, sin = bundle.schedule.rope(scale, 16)
    sidecar = {n: np.frombuffer((tmp_path / "weights.bin").read_bytes(), "<f4", int(np.prod(t["shape"])), t["offset"]).reshape(t["shape"])
               for n, t in content["sidecar"]["tensors"].items()}  # fmt: skip
    feeds = {
        "z": z.numpy(), "values": values.numpy(), "masked": hidden.numpy(), "x_add": sidecar["lvl_embed"][scale][None, None],
        "rope_cos": cos.numpy(), "rope_sin": sin.numpy(), "text_bias": bias.numpy(), **condition,
    }  # fmt: skip
    def run(name):  # noqa: ANN001, ANN202
        session = open_graph(name)
        return session.run(["delta"], {i.name: feeds[i.name] for i in session.get_inputs()})[0][0]
    lengths, total = bundle.schedule.lengths, sum(bundle.schedule.lengths)
    inputs, own, masked = torch.randn(1, total - 1, 8), torch.randn(1, total, 8), torch.zeros(1, total, 1)
    inputs[:, -length:], own[:, -length:], masked[:, -length:] = z, values, hidden
    tables = (*bundle.schedule.rope_all(16), block_diagonal_mask(bundle.schedule))
    with torch.no_grad():
        expected = part(bundle.generator.model, states, bias, inputs, own, masked, bundle.schedule, tables)[:, -lengths[-1] :]
        plain = bundle.generator.model(states, bias, inputs, bundle.schedule, tables)[:, -lengths[-1] :]
    assert np.abs(run("mask") - expected.numpy()).max() < 0.05 * expected.abs().max()
    assert np.abs(run("step") - plain.numpy()).max() < 0.05 * plain.abs().max()
