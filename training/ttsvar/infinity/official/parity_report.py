"""The table of the comparison with the official module: bounds, Markdown, and figures that are kept between runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import onnxruntime
import torch

from ttsvar.infinity.official.cases import CASES

BOUNDS = {"logits": 1e-4, "inputs": 1e-5, "latents": 1e-5, "image": 1.0, "encoder": 1e-4, "rotary": 1e-6}
HEAD = """# Parity with the official Infinity module

    git clone https://github.com/FoundationVision/Infinity
    cd training && python -m ttsvar.infinity.official.parity --official ../Infinity --out ../results/infinity-parity

Largest absolute differences between the official PyTorch module (CPU, float32) and ours, over all scales, with forced
bits and seeded random weights: our PyTorch module with caches, and the five ONNX graphs that `export_infinity.py` made
from the official module's state dict. Logits are the differences between the two logits of a bit; images are compared
as bytes. In the case with three candidates, one is dropped and one duplicated after the third scale, and the result is
compared with a fresh official run of the same bits.
"""
COLUMNS = ("case", "image", "scales", "largest logit", "logits, PyTorch", "logits, ONNX", "inputs", "latents",
           "image, PyTorch", "image, ONNX", "encoder, ONNX")  # fmt: skip


@dataclass
class Row:
    """One comparison; ``*_torch`` and ``*_onnx`` are ours against the official module."""

    case: str
    title: str
    schedule: str
    scales: int
    largest_logit: float
    logits_torch: float
    logits_onnx: float
    inputs: float
    latents: float
    image_torch: float
    image_onnx: float
    encoder_onnx: float

    def failures(self) -> list[str]:
        pairs = (
            ("logits", self.logits_torch), ("logits", self.logits_onnx), ("inputs", self.inputs),
            ("latents", self.latents), ("image", self.image_torch), ("image", self.image_onnx),
            ("encoder", self.encoder_onnx),
        )  # fmt: skip
        over = [(name, value) for name, value in pairs if not value <= BOUNDS[name]]
        return [f"{self.case}: {name} {value:.2g} > {BOUNDS[name]:g}" for name, value in over]

    def cells(self) -> list[str]:
        small = (self.logits_torch, self.logits_onnx, self.inputs, self.latents)
        return [
            self.title, self.schedule, str(self.scales), f"{self.largest_logit:.1f}",
            *(f"{value:.1e}" for value in small), f"{self.image_torch:.0f}", f"{self.image_onnx:.0f}",
            f"{self.encoder_onnx:.1e}",
        ]  # fmt: skip


@dataclass
class Report:
    """Rows by case and schedule, and the rotary tables: how many schedules, largest difference."""

    schedules: int
    rotary: float
    rows: dict[tuple[str, str], Row]

    def keep(self, folder: Path) -> None:
        """Take over the rows that an earlier run left in ``folder``."""
        path = folder / "parity.json"
        if path.exists():
            for entry in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                self.rows.setdefault((entry["case"], entry["schedule"]), Row(**entry))

    def ordered(self) -> list[Row]:
        order = list(CASES)
        return sorted(self.rows.values(), key=lambda row: (order.index(row.case), row.schedule))

    def failures(self) -> list[str]:
        tables = [f"rotary tables: {self.rotary:.2g}"] if self.rotary > BOUNDS["rotary"] else []
        return [failure for row in self.ordered() for failure in row.failures()] + tables

    def table(self) -> str:
        lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in self.ordered())]
        bounds = f"logits {BOUNDS['logits']:g}, inputs and latents {BOUNDS['inputs']:g}, image 1 of 255"
        return "\n".join([
            *(f"| {' | '.join(line)} |" for line in lines), "", f"Bounds: {bounds}.", "",
            f"Rotary tables of {self.schedules} schedules: largest difference {self.rotary:.1e}.",
        ])  # fmt: skip

    def write(self, folder: Path) -> None:
        """``parity.json`` and a ``README.md`` with the table; rows that another run added meanwhile are kept."""
        folder.mkdir(parents=True, exist_ok=True)
        self.keep(folder)
        rotary = {"schedules": self.schedules, "largest": self.rotary}
        content = {"bounds": BOUNDS, "rotary": rotary, "cases": [asdict(row) for row in self.ordered()]}
        (folder / "parity.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        made = (
            f"Made with torch {torch.__version__.split('+')[0]}, onnxruntime {onnxruntime.__version__}, CPU, float32."
        )
        (folder / "README.md").write_text(f"{HEAD}\n{self.table()}\n\n{made}\n", encoding="utf-8")
