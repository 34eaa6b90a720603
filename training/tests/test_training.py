"""From shipped graphs back to training, and the recipes."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ttsvar.infinity import restore, train
from ttsvar.infinity.export import export
from ttsvar.infinity.generator import load_bundle
from ttsvar.infinity.sample import Settings
from ttsvar.make import MODELS, recipe
from ttsvar.world.paths import TRAINING_ROOT

SHIPPED = TRAINING_ROOT.parent / "models" / "generator"


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["restore", "--model", str(SHIPPED), "--out", str(folder)])
        restore.main()
    return folder


def test_the_shipped_graphs_come_back_exactly(restored: Path, tmp_path: Path) -> None:
    bundle = load_bundle(restored / "generator.pt", restored / "vae.pt")
    export(bundle, tmp_path, Settings([3.0] * len(bundle.schedule.scales), [0.7] * len(bundle.schedule.scales)))
    for graph in ("text_encoder", "condition", "step", "vae_decode", "vae_encode"):
        again, shipped = (restore.initializers(folder / f"{graph}.onnx") for folder in (tmp_path, SHIPPED))
        assert again.keys() == shipped.keys()
        assert all(np.array_equal(again[name], shipped[name]) for name in again)
    assert (tmp_path / "weights.bin").read_bytes() == (SHIPPED / "weights.bin").read_bytes()


def test_training_starts_from_the_shipped_model_stops_and_resumes(restored: Path) -> None:
    def run(*extra: str) -> dict:
        flags = f"--steps 4 --batch 4 --pool 256 --pool-start 128 --threads 1 --threads-file none --vae {restored}/vae.pt"
        flags += f" --out {restored}/more.pt --curve {restored}/curve.jsonl"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["train", *flags.split(), *extra])
            train.main()
        return torch.load(restored / "more.pt", weights_only=False)

    before = torch.load(restored / "generator.pt", weights_only=False)
    stopped = run("--init", f"{restored}/generator.pt", "--stop", "2")
    finished = run("--resume")
    assert [stopped["step"], finished["step"]] == [before["step"] + 2, before["step"] + 4]
    assert finished["images"] == before["images"] + 16
    # A few gentle steps do not undo what was learnt: far below the one bit per bit of an untrained model.
    assert finished["validation"][-1] < 0.4
    changed = [k for k, v in finished["state"].items() if not torch.equal(v, stopped["state"][k])]
    assert any("sa.mat_qkv" in name for name in changed) and any(name.startswith("text.") for name in changed)


@pytest.mark.parametrize("config", ["cpu", "gpu"])
@pytest.mark.parametrize("model", MODELS)
def test_recipes_use_commands_and_flags_that_exist(model: str, config: str) -> None:
    for command in recipe(model, config):
        module, *words = shlex.split(command)
        source = Path(importlib.util.find_spec(module).origin).read_text()
        # Those that share the options of another one.
        shared = {
            "from ttsvar.latent.fit import": "ttsvar.latent.fit", "from ttsvar.latent.judge import": "ttsvar.latent.judge",
            "from ttsvar.infinity import train as base": "ttsvar.infinity.train",
        }  # fmt: skip
        for line, other in shared.items():
            if line in source:
                source += Path(importlib.util.find_spec(other).origin).read_text()
        for flag in (word for word in words if word.startswith("--")):
            assert re.search(rf'"{flag}"', source), f"{module} has no {flag}"
