"""The detector's graph equals the network, its outputs follow the YOLOS layout, and the rules are GenEval's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ttsvar.verifiers.detector import agreement
from ttsvar.verifiers.detector.augment import AugmentConfig, augment, dct_quantise, hybrids
from ttsvar.verifiers.detector.calibrate import calibration_seeds
from ttsvar.verifiers.detector.data import training_seeds
from ttsvar.verifiers.detector.evaluate import EVALUATION_SEED
from ttsvar.verifiers.detector.export import export_onnx, write_folder
from ttsvar.verifiers.detector.geneval import Detection, keep, passes, relations
from ttsvar.verifiers.detector.judge import Judge
from ttsvar.verifiers.detector.model import Detector, DetectorConfig, YolosHead
from ttsvar.verifiers.detector.targets import loss, make_targets
from ttsvar.verifiers.detector.train import RECIPES
from ttsvar.world import ObjectTruth

TINY = DetectorConfig(stem=8, fine=8, coarse=16, head=16, depth=1)


@pytest.fixture
def head() -> YolosHead:
    torch.manual_seed(0)
    detector = Detector(TINY).eval()
    torch.nn.init.normal_(detector.out.weight, std=0.5)
    torch.nn.init.zeros_(detector.out.bias)  # an untrained detector would find nothing at all
    return YolosHead(detector, scale=1.3, shift=0.2).eval()


def test_onnx_equals_torch(head: YolosHead, tmp_path: Path) -> None:
    import onnxruntime as ort

    export_onnx(head, tmp_path / "model.onnx", 64, half_weights=False)
    session = ort.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = torch.rand(batch, 3, 64, 64)
        with torch.no_grad():
            expected = head(x)
        actual = session.run(["logits", "pred_boxes", "color_logits"], {"pixel_values": x.numpy()})
        for e, a, width in zip(expected, actual, (81, 4, 10)):
            assert a.shape == (batch, 32, width)
            np.testing.assert_allclose(a, e.numpy(), atol=1e-4)


def test_half_weights_stay_close(head: YolosHead, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_folder(head, folder, 64)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "yolos" and config["id2label"]["79"] == "toothbrush"
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    assert processor["image_processor_type"] == "YolosImageProcessor"
    images = (np.random.default_rng(0).random((2, 64, 64, 3)) * 255).astype(np.uint8)
    found = Judge(folder)(images)
    with torch.no_grad():
        logits, _, _ = head(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    best = logits[0].softmax(-1)[0, :80].max().item()
    assert abs(max(d.score for d in found[0]) - best) < 0.02


def test_softmax_over_81_is_the_sigmoid_score(head: YolosHead) -> None:
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits, boxes, _ = head(x)
        heat = head.detector(x)[0] * head.scale + head.shift
    p = logits.softmax(-1)
    top = heat.flatten(1).max(1).values.sigmoid()
    torch.testing.assert_close(p[:, 0, :80].max(-1).values, top, atol=1e-5, rtol=0)
    torch.testing.assert_close(p[..., :80].max(-1).values + p[..., 80], torch.ones(2, 32), atol=1e-5, rtol=0)
    assert boxes.min() >= 0 and boxes.max() <= 1
    # every query is a local maximum of its own class map
    scores = p[..., :80].max(-1).values
    assert (scores[:, :-1] >= scores[:, 1:] - 1e-6).all()


def test_other_sizes() -> None:
    logits, _, _ = YolosHead(Detector(TINY).eval())(torch.rand(1, 3, 96, 96))
    assert logits.shape == (1, 32, 81)


def test_targets_and_loss() -> None:
    truth = ObjectTruth(cls=3, color=2, box=(8.0, 12.0, 32.0, 40.0), mask=None, drawing=0)
    plain = ObjectTruth(cls=5, color=None, box=(40.0, 40.0, 60.0, 60.0), mask=None, drawing=0)
    target = make_targets([[truth], [plain]], 64)
    assert target.heat[0, 3, 6, 5] == 1 and (target.heat == 1).sum() == 2
    assert target.color[0, 6, 5] == 2 and (target.color[1] == -1).all()
    cx, cy, w, h = target.box[0, :, 6, 5]
    assert ((5.5 + cx) * 4, (6.5 + cy) * 4) == (20, 26)
    np.testing.assert_allclose([w.exp() * 4, h.exp() * 4], [24, 28], rtol=1e-5)
    perfect = torch.where(target.heat == 1, 12.0, -12.0)
    colors = torch.zeros(2, 10, 16, 16)
    colors[:, 2] = 20.0
    total, parts = loss((perfect, target.box, colors), target)
    assert total < 1e-3 and parts["color"] < 1e-3


def test_augmentation_is_deterministic_and_bounded() -> None:
    x = torch.rand(16, 3, 64, 64)
    a, b = (augment(x, AugmentConfig(), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b) and a.min() >= 0 and a.max() <= 1 and not torch.equal(a, x)
    torch.testing.assert_close(dct_quantise(x, 1e-5), x, atol=1e-3, rtol=0)


def test_hybrids_lose_their_label() -> None:
    truths = [[ObjectTruth(c, None, (16.0, 16.0, 48.0, 48.0), None, 0)] for c in range(8)]
    x, target = torch.rand(8, 3, 64, 64), make_targets(truths, 64)
    hybrids(x, target, torch.arange(8), 0.25, torch.Generator().manual_seed(0))
    assert int((target.heat.amax((1, 2, 3)) == 0).sum()) == 2


def test_relation_rule() -> None:
    assert relations((0, 0, 10, 10), (30, 0, 40, 10)) == {"left of"}
    assert relations((30, 2, 40, 12), (0, 0, 10, 10)) == {"right of"}
    assert relations((0, 0, 10, 10), (30, 30, 40, 40)) == {"left of", "above"}
    assert relations((0, 0, 40, 40), (2, 2, 42, 42)) == set()


def test_geneval_thresholds_counts_and_colors() -> None:
    box = (0.0, 0.0, 9.0, 9.0)
    dog = [Detection("dog", s, box, "red") for s in (0.95, 0.92, 0.9, 0.3)]
    assert [d.score for d in keep(dog, "counting")["dog"]] == [0.95, 0.92]
    assert len(keep(dog, "colors")["dog"]) == 3
    two = {"tag": "counting", "include": [{"class": "dog", "count": 2}], "exclude": [{"class": "dog", "count": 3}]}
    assert passes(two, dog) and not passes(two, [*dog, Detection("dog", 0.99, box)])
    mixed = [Detection("dog", 0.8, box, "blue"), Detection("dog", 0.7, box, "red")]
    red = {"tag": "colors", "include": [{"class": "dog", "count": 1, "color": "red"}]}
    assert passes(red, dog) and not passes(red, mixed)
    above = {
        "tag": "position",
        "include": [{"class": "boat", "count": 1}, {"class": "bus", "count": 1, "position": ["above", 0]}],
    }
    boat, bus = Detection("boat", 0.9, (20, 40, 40, 60)), Detection("bus", 0.9, (20, 4, 40, 20))
    assert passes(above, [boat, bus]) and not passes(above, [bus])


def test_no_two_detectors_and_no_two_purposes_share_scenes() -> None:
    purposes = {"evaluation": {EVALUATION_SEED, EVALUATION_SEED + 1}, "agreement": {agreement.SEED}}
    for (name, config), recipe in RECIPES.items():
        if config == "cpu":
            purposes[f"training {name}"] = set(training_seeds(recipe.seed))
            purposes[f"calibration {name}"] = set(calibration_seeds(recipe.seed))
    seeds = [seed for each in purposes.values() for seed in each]
    assert len(purposes) == 6 and len(seeds) == len(set(seeds))
