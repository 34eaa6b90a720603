"""The dual encoder on a tiny random model: export equals torch, names, shapes, padding, negatives."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ttsvar.verifiers.dual_encoder import int8
from ttsvar.verifiers.dual_encoder.atoms import AtomCode, atoms_of
from ttsvar.verifiers.dual_encoder.augment import augment, degrade
from ttsvar.verifiers.dual_encoder.config import ModelConfig
from ttsvar.verifiers.dual_encoder.evaluate import KINDS, alternatives
from ttsvar.verifiers.dual_encoder.export import export
from ttsvar.verifiers.dual_encoder.losses import contrastive, patch_loss
from ttsvar.verifiers.dual_encoder.model import DualEncoder, flops
from ttsvar.verifiers.dual_encoder.pool import patch_labels, spec_pair
from ttsvar.verifiers.dual_encoder.runtime import DualEncoderOnnx
from ttsvar.verifiers.dual_encoder.specs import allowed, compatible, edit, meaning
from ttsvar.text.tokenizer import tokenizer_config, tokenizer_json
from ttsvar.world import SceneSpec, sample_spec, sample_spec_of

TINY = ModelConfig(
    stem=(4, 8), vision_width=16, vision_layers=1, vision_heads=2, slots=2, text_width=12, text_layers=1,
    text_heads=2, projection_dim=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    source = tmp_path_factory.mktemp("tokenizer")
    (source / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    (source / "tokenizer_config.json").write_text(json.dumps(tokenizer_config()))
    torch.manual_seed(1)
    model = DualEncoder(TINY)
    with torch.no_grad():  # residual branches start at zero: give every weight something to say; fp16-exact
        for p in model.parameters():
            p.copy_((p + 0.1 * torch.randn_like(p)).half().float())
    folder = tmp_path_factory.mktemp("dual-encoder")
    export(model.eval(), source, folder, {})
    return model, folder


def test_names_shapes_and_equality(exported):
    model, folder = exported
    onnx = DualEncoderOnnx(folder, threads=1)
    assert [o.name for o in onnx.vision.get_outputs()] == ["image_embeds", "last_hidden_state"]
    assert [i.name for i in onnx.text.get_inputs()] == ["input_ids", "attention_mask"]
    assert [o.name for o in onnx.text.get_outputs()] == ["text_embeds"]
    pixels = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    embeds, hidden = onnx.vision.run(None, {"pixel_values": pixels})
    assert embeds.shape == (3, 8) and hidden.shape == (3, 65, 16)
    ids, mask = onnx.tokenizer(["a red dog left of a blue cat", "two cups", "a kite"])
    text = onnx.text.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    with torch.no_grad():
        want = model.vision(torch.from_numpy(pixels))
        assert np.allclose(embeds, want[0], atol=2e-4) and np.allclose(hidden, want[1], atol=2e-4)
        assert np.allclose(text, model.text(ids, mask), atol=2e-4)


def test_padding_does_not_change_a_text(exported):
    _, folder = exported
    onnx = DualEncoderOnnx(folder, threads=1)
    captions = ["a red dog left of a blue cat", "two cups"]
    short = onnx.tokenizer(captions)
    long = onnx.tokenizer(captions, pad_to=16)
    assert long[0].shape == (2, 16) and int(long[0][1, -1]) == onnx.tokenizer.pad_id
    rows = [onnx.text.run(None, {"input_ids": i.numpy(), "attention_mask": m.numpy()})[0] for i, m in (short, long)]
    assert np.allclose(rows[0], rows[1], atol=1e-5)
    alone = onnx.texts(["two cups"])
    assert np.allclose(onnx.texts(captions)[1], alone[0], atol=1e-5)
    ids, mask = onnx.tokenizer([" and ".join(["a red dog"] * 9)])  # too long: cut, the end token stays last
    assert ids.shape[1] == 16 and int(ids[0, -1]) == 1 and int(mask.sum()) == 16


def test_folder(exported):
    _, folder = exported
    read = lambda name: json.loads((folder / name).read_text())  # noqa: E731
    manifest = read("manifest.json")
    assert manifest["name"] == "dual-encoder" and manifest["schemaVersion"] == 1
    names = {"config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
             "onnx/text_model.onnx", "onnx/vision_model.onnx"}  # fmt: skip
    assert set(manifest["files"]) == names
    assert manifest["flops"]["image"] == flops(TINY)[0] > 0
    config = read("config.json")
    assert config["model_type"] == "clip" and config["text_config"]["eos_token_id"] == 1
    assert read("preprocessor_config.json")["size"] == {"width": 64, "height": 64}
    assert read("tokenizer_config.json")["model_max_length"] == 16


def test_edits_change_the_meaning_and_nothing_holds_for_both():
    rng = np.random.default_rng(0)
    for _ in range(300):
        spec = sample_spec(rng)
        for kind in allowed(spec):
            changed = edit(spec, kind, rng)
            assert meaning(changed) != meaning(spec), (kind, spec, changed)
        a, b = spec_pair(rng)
        assert not compatible(a, b)
    a = SceneSpec("position", (("dog", None), ("cat", None)), "left of")
    b = SceneSpec("position", (("cat", None), ("dog", None)), "right of")
    assert meaning(a) == meaning(b)
    assert compatible(a, SceneSpec("two_object", (("cat", None), ("dog", None))))


def test_alternatives_are_complete_and_distinct():
    rng = np.random.default_rng(1)
    counts = {"color": 10, "count": 4, "relation": 4, "swap": 2, "bind": 2}
    for kind, tags in KINDS.items():
        for tag in tags:
            spec = sample_spec_of(tag, rng, extras=False)
            rows = alternatives(spec, kind, rng)
            assert len({meaning(s) for s in rows}) == len(rows)
            assert len(rows) == counts.get(kind, 81 - len(spec.objects)), kind


def test_patch_labels_mark_boxes():
    cls, color = patch_labels([(3, 2, (0.0, 0.0, 16.0, 16.0)), (5, None, (41.0, 41.0, 44.0, 62.0))], 80, 64, 8)
    assert (cls.reshape(8, 8)[:2, :2] == 3).all() and (color.reshape(8, 8)[:2, :2] == 2).all()
    assert (cls.reshape(8, 8)[5:, 5] == 5).all() and (cls == 80).sum() == 64 - 4 - 3


def test_losses_reward_the_right_order():
    neutral = torch.zeros(3, 5, dtype=torch.bool)
    neutral[0, 4] = True
    good = torch.full((4, 5), -0.5)
    good[torch.arange(3), torch.arange(3)] = 0.9
    good[0, 4] = 1.0  # holds for image 0 too: ignored
    image, text, hits = contrastive(good, neutral, torch.tensor(20.0))
    assert float(image) < 1e-3 and float(text) < 1e-3 and float(hits) == 1
    assert float(contrastive(-good, neutral, torch.tensor(20.0))[0]) > 1
    classes, colors = torch.tensor([[80, 3]]), torch.tensor([[-1, 2]])
    logits = torch.zeros(1, 2, 81)
    logits[0, 0, 80] = logits[0, 1, 3] = 20.0
    colored = torch.zeros(1, 2, 10)
    colored[0, 1, 2] = 20.0
    assert float(patch_loss(logits, colored, classes, colors)) < 1e-3


def test_augmentation_keeps_shape_and_degradation_changes_every_image():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(8, 3, 64, 64, generator=g) * 2 - 1
    out = augment(x, g)
    assert out.shape == x.shape and float(out.abs().max()) <= 1
    damaged = degrade(x, x.roll(1, 0), g)
    assert ((damaged - x).abs().mean((1, 2, 3)) > 0.02).all()


def test_part_codes_follow_the_meaning():
    a = SceneSpec("position", (("dog", None), ("cat", None)), "right of")
    b = SceneSpec("position", (("cat", None), ("dog", None)), "left of")
    parts = [{tuple(x) for x in atoms_of(s).reshape(2, 2).tolist()} for s in (a, b)]
    assert parts[0] == parts[1] and all(kind in (0, 1) for kind, _ in parts[0])
    assert (atoms_of(SceneSpec("two_object", (("cat", None), ("dog", None)))) == -1).all()
    atoms = torch.from_numpy(np.stack([atoms_of(SceneSpec("color_attr", (("dog", "red"), ("cat", "blue"))))]))
    code = AtomCode(64)
    kinds, classes = atoms.view(2, 2).unbind(1)
    ideal = code.vectors[kinds, classes].sum(0, keepdim=True)
    loss, hits = code.loss(ideal / ideal.norm(), atoms)
    assert float(hits) == 1 and float(loss) < float(code.loss(-ideal / ideal.norm(), atoms)[0])


def test_a_tower_of_int8(exported, tmp_path):
    _, folder = exported
    images = np.random.default_rng(1).uniform(-1, 1, size=(16, 3, 64, 64)).astype(np.float32)
    content = int8.export(folder, images[:12], tmp_path / "whole")
    # Query, key and value in one, output, and the feed-forward.
    assert content["training"]["int8Products"] >= 4 * TINY.vision_layers
    base = json.loads((folder / "manifest.json").read_text())
    assert content["files"][int8.VISION]["approximates"] == base["files"][int8.VISION]["sha256"]
    plain, whole = (DualEncoderOnnx(f, threads=1).vision for f in (folder, tmp_path / "whole"))
    for image in images[12:]:
        feeds = {"pixel_values": image[None]}
        for exact, near in zip(plain.run(None, feeds), whole.run(None, feeds)):
            assert exact.shape == near.shape and np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.98
