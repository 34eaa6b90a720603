"""Write the step graph of an exported model folder anew, from the weights that are in it.

    python -m ttsvar.infinity.refresh --model ../models/generator

For folders that were exported before the step was made of fewer operators. The other files stay as they are; the folder's identity
changes, since logits do by rounding. The new graph is compared with the one that it replaces.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from ttsvar.infinity import graphs
from ttsvar.infinity.export import digest
from ttsvar.infinity.restore import restore_generator

TOLERANCE = 1e-4
SHAPES = ((2, 1, 1, 0, 3), (2, 3, 4, 1, 7), (1, 2, 9, 5, 1), (2, 5, 64, 66, 12))  # groups, candidates, tokens, past, text


@torch.no_grad()
def refresh(folder: Path) -> float:
    """Replaces the graph; returns the largest difference of any output. Raises ValueError where that is no rounding."""
    manifest_path, target = folder / "manifest.json", folder / "step.onnx"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    model = restore_generator(folder, manifest).model
    temporary = target.with_suffix(".tmp")
    graphs.export_step(model, temporary)
    worst = max(difference(target, temporary, graphs.example(model, *shape)) for shape in SHAPES)
    if worst > TOLERANCE:
        temporary.unlink()
        raise ValueError(f"{target}: the new graph differs by {worst}")
    os.replace(temporary, target)
    manifest["graphs"]["step"] = {"file": target.name, **digest(target)}
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, manifest_path)
    return worst


def difference(one: Path, other: Path, inputs: dict[str, torch.Tensor]) -> float:
    feeds = {name: value.numpy() for name, value in inputs.items()}
    outputs = []
    for path in (one, other):
        # The name of a temporary file does not say that it is a graph.
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, feeds))
    return max(float(np.abs(a - b).max(initial=0)) for a, b in zip(*outputs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("../models/generator"))
    a = parser.parse_args()
    print(f"{a.model}/step.onnx: differs by at most {refresh(a.model):.1e} from what it was")


if __name__ == "__main__":
    main()
