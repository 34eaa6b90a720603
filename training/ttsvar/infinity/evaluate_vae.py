"""Reconstruction quality of the VAE by truncation, with a picture.

    python -m ttsvar.infinity.evaluate_vae --vae checkpoints/vae.pt --picture ../models/generator/reconstructions.png

Rows of the picture, in groups: original, then the decoded code after every scale.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ttsvar.infinity.latents import draw_scenes
from ttsvar.infinity.sample import save_grid
from ttsvar.infinity.train_vae import EVALUATION_SEED, load_vae, psnr
from ttsvar.infinity.vae import to_float, to_uint8
from ttsvar.world import World, world_config


@torch.no_grad()
def evaluate(vae_path: str, count: int) -> tuple[dict, np.ndarray]:
    """PSNR in dB after every scale on scenes no training has seen, and the picture's images."""
    vae, quantizer = load_vae(vae_path)
    images, *_ = draw_scenes(World(world_config(), EVALUATION_SEED + 1), 0, count)
    quality = np.zeros(len(quantizer.grids))
    rows: list[np.ndarray] = []
    for start in range(0, count, 64):
        target = to_float(images[start : start + 64])
        codes = quantizer.encode(vae.encode(target)).cumulative
        outputs = [vae.decode(c.contiguous(memory_format=torch.channels_last)) for c in codes]
        quality += np.array([psnr(o, target) for o in outputs]) * len(target) / count
        if start == 0:
            rows = [images[:12], *(to_uint8(o)[:12].numpy() for o in outputs)]
    table = {f"{h}x{w}": round(q, 2) for (h, w), q in zip(quantizer.grids, quality.tolist())}
    return {"images": count, "psnr": table}, np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--picture", type=Path, default=Path("../models/generator/reconstructions.png"))
    a = parser.parse_args()
    result, images = evaluate(a.vae, a.count)
    a.picture.parent.mkdir(parents=True, exist_ok=True)
    save_grid(str(a.picture), images, 12, zoom=1)
    a.picture.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
