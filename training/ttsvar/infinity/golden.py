"""Golden vectors for the TypeScript sampler: forced bits, logits per scale, inputs, latent and image.

    python -m ttsvar.infinity.golden --out ../test/fixtures/golden

Computed by PyTorch in float32 with the float16-rounded weights that the exported graphs hold. Three candidates run
the first scales; after scale index ``KEEP_AFTER`` candidates ``KEEP`` survive (one dropped, one duplicated). Every
array is little-endian in ``golden.bin``; ``golden.json`` lists dtype, shape and byte offset.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ttsvar.infinity.bits import resize, tokens
from ttsvar.infinity.export import round_weights
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.sample import TOP_P, conditions, draw, guided, keyed_noise, render
from ttsvar.text.tokenizer import Tokenizer

PROMPT = "a photo of a red apple and a blue car"
CANDIDATES, KEEP_AFTER, KEEP = 3, 2, (2, 0, 0)
GUIDANCE, TEMPERATURE, SEED = 3.0, 0.7, 11


@torch.no_grad()
def run(bundle: Bundle) -> dict[str, np.ndarray]:
    """Arrays by name; ``*_s`` carries the scale index."""
    model, quantizer, schedule = bundle.generator.model, bundle.quantizer, bundle.schedule
    condition = conditions(bundle, [PROMPT])
    height, width = quantizer.grids[-1]
    latent = torch.zeros(CANDIDATES, quantizer.dim, height, width)
    arrays: dict[str, Tensor] = {"sos": condition.sos, "gss": condition.gss, "head_ss": condition.head_ss}
    past: list | None = None
    for scale, length in enumerate(schedule.lengths):
        if scale == 0:
            z, x_add = torch.zeros(CANDIDATES, 1, quantizer.dim), model.first_input(condition)
        else:
            z, x_add = tokens(resize(latent, quantizer.grids[scale])), model.level_input(scale, 2)
        rope = schedule.rope(scale, model.config.head_dim)
        delta, new = model.step(z, x_add, rope, condition, past)
        past = [
            (torch.cat([p[0], n[0]], 2), torch.cat([p[1], n[1]], 2)) for p, n in zip(past, new)
        ] if past else new  # fmt: skip
        logits = guided(delta[0], delta[1], GUIDANCE, TEMPERATURE)
        noise = torch.stack([keyed_noise(SEED, c, scale, (length, quantizer.dim)) for c in range(CANDIDATES)])
        bits = draw(logits, noise, TOP_P)
        h, w = quantizer.grids[scale]
        latent = latent + quantizer.contribution(bits.view(-1, h, w, quantizer.dim).permute(0, 3, 1, 2), scale)
        arrays |= {f"z_{scale}": z, f"delta_{scale}": delta, f"bits_{scale}": bits.to(torch.uint8)}
        if scale == KEEP_AFTER:
            keep = torch.tensor(KEEP)
            latent = latent[keep]
            rows = torch.cat([keep, keep + CANDIDATES])
            past = [(k[rows], v[rows]) for k, v in past]
    arrays["latent"] = latent
    out = {name: value.contiguous().numpy() for name, value in arrays.items()}
    out["image"] = render(bundle, latent, fast=False)
    return out


def write_arrays(arrays: dict[str, np.ndarray], path: Path) -> dict:
    """Concatenate arrays little-endian (uint8 or float32) to ``path``; returns dtype, shape and offset by name."""
    index, chunks, offset = {}, [], 0
    for name, value in arrays.items():
        dtype = "uint8" if value.dtype == np.uint8 else "float32"
        data = value.astype("<f4" if dtype == "float32" else "u1").tobytes()
        data += b"\0" * (-len(data) % 4)
        index[name] = {"dtype": dtype, "shape": list(value.shape), "offset": offset}
        chunks.append(data)
        offset += len(data)
    path.write_bytes(b"".join(chunks))
    return index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", type=Path, default=Path("../test/fixtures/golden"))
    a = parser.parse_args()
    arrays = run(round_weights(load_bundle(a.checkpoint, a.vae)))
    a.out.mkdir(parents=True, exist_ok=True)
    index = write_arrays(arrays, a.out / "golden.bin")
    content = {
        "prompt": PROMPT, "ids": Tokenizer().encode(PROMPT), "candidates": CANDIDATES, "guidance": GUIDANCE,
        "temperature": TEMPERATURE, "topP": TOP_P, "keep": {"afterScale": KEEP_AFTER, "candidates": list(KEEP)},
        "file": "golden.bin", "arrays": index,
    }  # fmt: skip
    (a.out / "golden.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{len(index)} arrays")


if __name__ == "__main__":
    main()
