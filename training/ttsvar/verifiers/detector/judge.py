"""Runs an exported detector with onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort

from .geneval import Detection


def decode(
    logits: np.ndarray, boxes: np.ndarray, colors: np.ndarray, size: int, names: list[str], color_names: list[str],
    minimum: float = 0.05,
) -> list[list[Detection]]:  # fmt: skip
    """Raw outputs -> detections per image. Score: soft-max over the 81 logits, "no object" (last) dropped."""
    z = np.exp(logits - logits.max(-1, keepdims=True))
    p = (z / z.sum(-1, keepdims=True))[..., :-1]
    best, score, color = p.argmax(-1), p.max(-1), colors.argmax(-1)
    out = []
    for i in range(len(p)):
        found = []
        for q in np.nonzero(score[i] > minimum)[0]:
            cx, cy, w, h = boxes[i, q] * size
            box = (float(cx - w / 2), float(cy - h / 2), float(cx + w / 2), float(cy + h / 2))
            found.append(Detection(names[best[i, q]], float(score[i, q]), box, color_names[color[i, q]]))
        out.append(found)
    return out


class Judge:
    """A detector folder, ready to use."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text())
        self.size: int = config["image_size"][0]
        self.names = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
        self.color_names: list[str] = config["color_labels"]
        self.session = ort.InferenceSession(str(folder / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])

    def __call__(self, images: np.ndarray, batch: int = 64) -> list[list[Detection]]:
        """images uint8 [n, S, S, 3] at the model's size."""
        out: list[list[Detection]] = []
        for i in range(0, len(images), batch):
            x = images[i : i + batch].transpose(0, 3, 1, 2).astype(np.float32) / 255
            raw = self.session.run(["logits", "pred_boxes", "color_logits"], {"pixel_values": x})
            out.extend(decode(*raw, self.size, self.names, self.color_names))
        return out
