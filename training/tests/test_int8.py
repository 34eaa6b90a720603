"""Products of int8: what a row gets, and the exported folder."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import torch

from ttsvar.hmar.export import tiny
from ttsvar.infinity import graphs, int8
from ttsvar.infinity.export import export, round_weights
from ttsvar.infinity.sample import conditions


def test_scales_cut_what_is_rare() -> None:
    values = torch.cat([torch.randn(10_000, generator=torch.Generator().manual_seed(0)), torch.tensor([40.0, -40.0])])
    scale, zero = int8.scale_of(values)
    assert scale < 80 / 255 and 100 < zero < 156
    positive = int8.scale_of(torch.rand(1000))
    assert positive[1] == 0 and abs(positive[0] - 1 / 255) < 5e-4


def test_a_folder_with_products_of_int8(tmp_path) -> None:  # noqa: ANN001
    bundle, _, settings = tiny()
    base, out = tmp_path / "base", tmp_path / "whole"
    export(bundle, base, settings)
    content = int8.export(bundle, base, out)
    # Query, key, value and output of either attention (keys and values of the text are the prompt's), and the feed-forward.
    assert content["training"]["int8Products"] == 8 * bundle.generator.model.config.depth
    assert content["graphs"]["condition"]["of"] == "base" and "of" not in content["graphs"]["step"]
    assert content["graphs"]["vae_decode"]["approximates"] == json.loads((base / "manifest.json").read_text())["graphs"]["vae_decode"]["sha256"]
    assert json.loads((out / "manifest.json").read_text())["name"] == "whole"
    # A row is the same alone and among others, to the bit.
    model = round_weights(bundle).generator.model
    torch.manual_seed(0)
    inputs = {name: value.numpy() for name, value in graphs.example(model, batch=3).items()}
    whole, plain = (onnxruntime.InferenceSession(str(folder / "step.onnx")) for folder in (out, base))
    alone = {
        name: value[1:2] if name == "z" else value[[1, 4]] if name.startswith("past_") else value for name, value in inputs.items()
    }
    assert np.array_equal(whole.run(["delta"], alone)[0][:, 0], whole.run(["delta"], inputs)[0][:, 1])
    # What a draw really puts in, at the first scale.
    condition = conditions(bundle, ["a photo of a dog"])
    first = {"z": torch.zeros(1, 1, 8), "x_add": model.first_input(condition), "gss": condition.gss, "head_ss": condition.head_ss}
    first |= dict(zip(("rope_cos", "rope_sin"), bundle.schedule.rope(0, model.config.head_dim)))
    first["text_bias"] = condition.text_bias
    for layer, pair in enumerate(condition.memory):
        first |= {f"ca_{kind}_{layer}": value for kind, value in zip("kv", pair)}
    empty = torch.zeros(2, model.config.heads, 0, model.config.head_dim)
    first |= {name: empty for name in graphs.pair_names("past_", model.config.depth)}
    feeds = {name: value.detach().contiguous().numpy() for name, value in first.items()}
    near, exact = whole.run(["delta"], feeds)[0], plain.run(["delta"], feeds)[0]
    assert np.corrcoef(near.ravel(), exact.ravel())[0, 1] > 0.99
    latent = np.random.default_rng(0).normal(size=(2, 8, 4, 4)).astype(np.float32) * 0.5
    near, exact = (onnxruntime.InferenceSession(str(folder / "vae_decode.onnx")).run(None, {"latent": latent})[0] for folder in (out, base))
    assert np.abs(near - exact).mean() < 0.05
