"""`pip install ./training[serve]`: what the package says of itself, read without a network."""

from __future__ import annotations

import configparser
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

from serving import ROOT

TRAINING = ROOT / "training"


def test_metadata_names_programs_that_exist_and_what_serving_needs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(TRAINING / "ttsvar", source / "ttsvar", ignore=shutil.ignore_patterns("__pycache__"))
    for file in [*TRAINING.glob("*.py"), TRAINING / "pyproject.toml"]:
        shutil.copy(file, source)
    program = "import setuptools; setuptools.setup(script_args=['-q', 'egg_info'])"
    subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, check=True)
    info = source / "ttsvar.egg-info"
    entries = configparser.ConfigParser()
    entries.read(info / "entry_points.txt")
    scripts = dict(entries["console_scripts"])
    assert set(scripts) == {"tts-var-serve-infinity", "tts-var-export-infinity", "tts-var-export-rewards"}
    for target in scripts.values():
        module, name = target.split(":")
        assert (source / f"{module}.py").exists()
        assert callable(getattr(importlib.import_module(module), name))
    always, *extras = (info / "requires.txt").read_text().split("\n\n")
    assert {line.split(">")[0] for line in always.split()} == {
        "numpy", "onnx", "onnxruntime", "safetensors", "tokenizers", "torch",
    }  # fmt: skip
    assert {extra.split("]")[0].strip("[\n") for extra in extras} == {"serve", "export", "train", "test"}
    modules = (info / "top_level.txt").read_text().split()
    assert set(modules) == {"export_infinity", "export_rewards", "serve_infinity", "ttsvar"}


def test_serving_loads_only_what_it_says_that_it_needs() -> None:
    program = (
        "import sys, ttsvar.infinity.serving.loop, ttsvar.serve.transport; "
        "print(sorted({'onnxscript', 'transformers', 'PIL'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=TRAINING, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
