"""The exported folder through onnxruntime, as an application would use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .tokens import CaptionTokenizer


class DualEncoderOnnx:
    """Unit vectors for images u8 [B,S,S,3] and captions."""

    def __init__(self, folder: Path | str, threads: int = 2) -> None:
        import onnxruntime as ort

        folder = Path(folder)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        start = lambda name: ort.InferenceSession(  # noqa: E731
            str(folder / "onnx" / name), options, providers=["CPUExecutionProvider"]
        )
        self.vision, self.text = start("vision_model.onnx"), start("text_model.onnx")
        self.processor = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.tokenizer = CaptionTokenizer(folder / "tokenizer.json", limits["model_max_length"])

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """u8 [B,S,S,3] -> f32 [B,3,S,S], normalised as preprocessor_config.json says."""
        mean = np.array(self.processor["image_mean"], np.float32)
        std = np.array(self.processor["image_std"], np.float32)
        return ((images.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)

    def images(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        rows = [
            self.vision.run(["image_embeds"], {"pixel_values": self.pixels(images[i : i + batch])})[0]
            for i in range(0, len(images), batch)
        ]
        return _unit(np.concatenate(rows))

    def texts(self, captions: list[str], batch: int = 512) -> np.ndarray:
        rows = []
        for i in range(0, len(captions), batch):
            ids, mask = self.tokenizer(captions[i : i + batch])
            feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
            rows.append(self.text.run(["text_embeds"], feed)[0])
        return _unit(np.concatenate(rows))


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
