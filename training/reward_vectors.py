"""Reference vectors for the preprocessing of rewards, computed with Pillow, PyTorch and transformers' tokenizers.

    training/.venv/bin/python training/reward_vectors.py --out test/fixtures/rewards --models test/fixtures/models

Images are given by a formula that both languages compute exactly, so that no image files are needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import ttsvar  # noqa: F401  (silences ONNX Runtime, which is imported next)
import numpy as np
import onnxruntime as ort
import torch
from PIL import Image
from torch.nn import functional as F
from transformers import AutoTokenizer

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
# (width, height): reduction of both orientations, a strong reduction, enlargement, no resize, half-pixel crops.
SIZES = ((300, 200), (97, 131), (1024, 1024), (50, 80), (64, 64), (224, 225), (449, 224))
PROMPTS = (
    "a photo of a red car above a green bench",
    "A Photo of TWO dogs, and three cats!",
    "an image of a blue bird " * 12,
    "a café — naïve bird's cup",
    "",
)
SAMPLES = 64
# Tokens of the text inputs.
LENGTHS = {"image-reward-tiny": 35, "hps-v2-tiny": 20, "pickscore-tiny": 20, "siglip-tiny": 40}


def formula_image(width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]; the same integers as test/unit/reward-preprocess.test.ts computes."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (((x * x * 3 + y * y * 5 + x * y * 7 + (c + 1) * 61 * (x + 2 * y)) >> 6) & 255).astype(np.uint8)


def normalise(x: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """torchvision's Normalize on [3, H, W]."""
    as_column = lambda values: torch.tensor(values).view(3, 1, 1)  # noqa: E731
    return (x - as_column(mean)) / as_column(std)


def to_tensor(image: Image.Image) -> torch.Tensor:
    """torchvision's ToTensor."""
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()).float().div(255)


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Pillow's bicubic resize, width first. Pillow 13 takes the cheaper order instead, which rounds a few values
    otherwise; the published rewards were computed before."""
    bicubic = Image.Resampling.BICUBIC
    return image.resize((size[0], image.height), bicubic).resize(size, bicubic)


def resize_and_crop(image: Image.Image, size: int, rounding: str) -> Image.Image:
    """torchvision's Resize(size, BICUBIC) and CenterCrop(size) on PIL images; transformers' crop with rounding "floor"."""
    w, h = image.size
    short, long = min(w, h), max(w, h)
    resized = (size, int(size * long / short)) if w <= h else (int(size * long / short), size)
    if resized != (w, h):
        image = resize(image, resized)
    corner = (lambda v: int(round(v / 2.0))) if rounding == "torchvision" else (lambda v: v // 2)
    left, top = corner(image.width - size), corner(image.height - size)
    return image.crop((left, top, left + size, top + size))


def hps(image: Image.Image, size: int) -> torch.Tensor:
    """HPS v2's ToTensor, ResizeMaxSize (with anti-aliasing, torchvision's default since 0.17) and Normalize."""
    x = to_tensor(image)
    h, w = x.shape[1:]
    scale = size / float(max(h, w))
    new_h, new_w = round(h * scale), round(w * scale)
    if (new_h, new_w) != (h, w):
        x = F.interpolate(x[None], (new_h, new_w), mode="bicubic", align_corners=False, antialias=True)[0]
    pad_h, pad_w = size - new_h, size - new_w
    x = F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
    return normalise(x, CLIP_MEAN, CLIP_STD)


def image_vectors() -> list[dict]:
    vectors = []
    for width, height in SIZES:
        image = Image.fromarray(formula_image(width, height))
        eight_bit = {
            ("clip", 224): (resize_and_crop(image, 224, "torchvision"), CLIP_MEAN, CLIP_STD),
            ("clip-floor", 224): (resize_and_crop(image, 224, "floor"), CLIP_MEAN, CLIP_STD),
            ("siglip", 384): (resize(image, (384, 384)), HALF, HALF),
            ("clip", 32): (resize_and_crop(image, 32, "torchvision"), CLIP_MEAN, CLIP_STD),
        }
        for (name, size), (fitted, mean, std) in eight_bit.items():
            digest = hashlib.sha256(np.asarray(fitted).tobytes()).hexdigest()
            vectors.append(row(name, size, width, height, normalise(to_tensor(fitted), mean, std), digest))
        for size in (224, 32):
            vectors.append(row("hps", size, width, height, hps(image, size), None))
    return vectors


def row(name: str, size: int, width: int, height: int, x: torch.Tensor, digest: str | None) -> dict:
    """Every k-th value of [3, size, size], flattened, and the SHA-256 of the 8-bit image before normalising."""
    flat = x.flatten()
    step = len(flat) // SAMPLES
    values = [float(f"{v:.8g}") for v in flat[:: step][:SAMPLES].tolist()]
    return {"transform": name, "size": size, "width": width, "height": height, "step": step, "values": values, "sha256": digest}


def text_vectors(models: Path) -> list[dict]:
    vectors = []
    for folder, length in LENGTHS.items():
        if folder == "hps-v2-tiny":  # the same tokenizer as PickScore's
            continue
        tokenizer = AutoTokenizer.from_pretrained(models / folder)
        for prompt in PROMPTS:
            out = tokenizer(prompt, padding="max_length", truncation=True, max_length=length)
            vectors.append(
                {"folder": folder, "length": length, "prompt": prompt, "ids": out["input_ids"], "mask": out["attention_mask"]}
            )
    return vectors


def score_vectors(models: Path) -> list[dict]:
    """Scores of the tiny models, whole path in Python: preprocessing, tokenizer, exported graph, head."""
    images = [Image.fromarray(formula_image(w, h)) for w, h in ((300, 200), (50, 80))]
    prompts = PROMPTS[:3]
    vectors = []
    for reward, folder, kind in (
        ("image-reward", "image-reward-tiny", "clip"), ("hps-v2", "hps-v2-tiny", "hps"),
        ("pickscore", "pickscore-tiny", "clip-floor"), ("aesthetic", "aesthetic-laion-tiny", "clip"),
        ("aesthetic", "aesthetic-v25-tiny", "siglip"), ("clip", "siglip-tiny", "siglip"),
    ):  # fmt: skip
        pixels = torch.stack([transformed(image, kind, 32) for image in images]).numpy()
        scores = score_one(models / folder, reward, pixels, prompts)
        vectors.append({"reward": reward, "folder": folder, "prompts": prompts, "scores": scores})
    return vectors


def transformed(image: Image.Image, kind: str, size: int) -> torch.Tensor:
    if kind == "hps":
        return hps(image, size)
    if kind == "siglip":
        return normalise(to_tensor(resize(image, (size, size))), HALF, HALF)
    rounding = "floor" if kind == "clip-floor" else "torchvision"
    return normalise(to_tensor(resize_and_crop(image, size, rounding)), CLIP_MEAN, CLIP_STD)


def score_one(folder: Path, reward: str, pixels: np.ndarray, prompts: tuple[str, ...]) -> list[list[float]]:
    """[prompt][image] scores of one folder."""
    run = lambda name, feeds: ort.InferenceSession(str(folder / "onnx" / name)).run(None, feeds)[0]  # noqa: E731
    unit = lambda x: x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)  # noqa: E731
    if reward == "aesthetic":
        head = json.loads((folder / "aesthetic_head.json").read_text())
        scores = unit(run("vision_model.onnx", {"pixel_values": pixels})) @ np.array(head["weights"]) + head["bias"]
        return [scores.tolist() for _ in prompts]
    length = LENGTHS[folder.name]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for prompt in prompts:
        text = tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="np")
        ids, mask = (text[k].astype(np.int64).repeat(len(pixels), 0) for k in ("input_ids", "attention_mask"))
        if reward == "image-reward":
            feeds = {"pixel_values": pixels, "input_ids": ids, "attention_mask": mask}
            rows.append(run("model.onnx", feeds).tolist())
            continue
        texts = unit(run("text_model.onnx", {"input_ids": ids}))
        cosines = (texts * unit(run("vision_model.onnx", {"pixel_values": pixels}))).sum(-1)
        scale = np.exp(json.loads((folder / "config.json").read_text())["logit_scale"]) if reward == "pickscore" else 1
        rows.append((cosines * scale).tolist())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    files = {
        "images": image_vectors(), "texts": text_vectors(args.models), "scores": score_vectors(args.models),
    }  # fmt: skip
    for name, vectors in files.items():
        lines = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in vectors)
        (args.out / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
