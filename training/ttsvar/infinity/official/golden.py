"""Tiny exported folders with recorded values, for the tests of the TypeScript sampler.

    python -m ttsvar.infinity.official.golden --out ../test/fixtures/models/infinity-tiny

``square`` stores its weights as fp16, ``patchify`` as int8. ``golden.json`` lists the cases; every array is in
``golden.bin``. Values are PyTorch's with the weights as stored, for bits that are given: with those the sampler must
reproduce deltas (2e-3 where weights are int8, else 1e-4), inputs and latents (1e-5), and the image (1 of 255).
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ttsvar.infinity.golden import write_arrays
from ttsvar.infinity.vae import to_uint8
from ttsvar.infinity.official.cached import run_cached, starts, torch_step
from ttsvar.infinity.official.forced import force, random_bits
from ttsvar.infinity.official.parts import Parts
from ttsvar.infinity.official.placement import Storage
from ttsvar.infinity.official.resolutions import schedules
from ttsvar.infinity.official.streamed import Read, loaded, text_states
from ttsvar.infinity.official.tiny import tiny_parts, write

SEED = 31
CLOSED = -1e4
STORAGES = {"square": Storage(16), "patchify": Storage(8, 32)}
PROMPT = "a photo of a red cup"


@dataclass(frozen=True)
class GoldenCase:
    """``keep`` are the candidates that go on after scale index ``after``; their later bits are drawn anew."""

    name: str
    model: str
    schedule: str
    negative: str | None = None
    batch: int = 1
    keep: tuple[int, ...] | None = None
    after: int = 2


CASES = (
    GoldenCase("square", "square", "1:1@0.06M"),
    GoldenCase("portrait", "square", "1:3@0.06M"),
    GoldenCase("negative", "square", "1:1@0.06M", negative="a small blurry picture of two purple cars on the left"),
    GoldenCase("batch", "square", "2:1@0.06M", batch=3, keep=(2, 0, 0)),
    GoldenCase("patchify", "patchify", "3:2@0.06M"),
)


def stored(prefix: str, read: Read, storage: Storage) -> Read:
    return lambda name: storage.rounded(prefix + name, read(name))


@torch.no_grad()
def record(
    case: GoldenCase, parts: Parts, tokenizer: Tokenizer, storage: Storage
) -> tuple[dict, dict[str, np.ndarray]]:
    """Description and arrays (names start with the case's) of one case."""
    named = next(n for n in schedules(parts.variant.patchify) if n.id == case.schedule)
    c = parts.transformer.config
    read = stored("model.", parts.transformer_weights.float32, storage)

    def encode(text: str) -> Tensor:
        ids = torch.tensor([tokenizer.encode(text).ids])
        return text_states(parts.text, stored("", parts.text_weights.float32, storage), ids)[0]

    positive = encode(PROMPT)
    other = encode(case.negative) if case.negative else read("cfg_uncond")[: len(positive)]
    length = max(len(positive), len(other))
    states, bias = torch.zeros(2, length, c.text_channels), torch.zeros(2, 1, 1, length)
    for group, values in enumerate((positive, other)):
        states[group, : len(values)] = values
        bias[group, ..., len(values) :] = CLOSED

    keep = list(case.keep or range(case.batch))
    first = random_bits(named.schedule, c.token_channels, case.batch, SEED)
    later = random_bits(named.schedule, c.token_channels, len(keep), SEED + 1)
    channels = parts.vae.config.channels
    bits = [first[s][keep] if s <= case.after else later[s] for s in range(len(first))]
    final = force(named.schedule, channels, bits)
    inputs = force(named.schedule, channels, first, case.after + 1).inputs + final.inputs[case.after + 1 :]
    with loaded(parts.transformer, "", read):
        condition = parts.transformer.condition(states, bias)
        host = (read("pos_start"), read("word_embed.bias"), read("lvl_embed.weight"), len(inputs))
        adds = starts(condition.sos, *host)
        step = torch_step(parts.transformer, condition)
        deltas = run_cached(step, inputs, adds, named.schedule, c.head_dim, {case.after: keep})
    with loaded(parts.vae, "", stored("vae.", parts.vae_weights.float32, storage)):
        image = to_uint8(parts.vae.decode(final.latents[-1]))
    arrays: dict[str, Tensor] = {"latent": final.latents[-1], "image": image}
    for scale in range(len(bits)):
        arrays |= {
            f"bits_{scale}": first[scale] if scale <= case.after else later[scale],
            f"z_{scale}": inputs[scale], f"delta_{scale}": deltas[scale],
        }  # fmt: skip
    description = {
        "name": case.name, "model": case.model, "schedule": case.schedule, "prompt": PROMPT,
        "ids": tokenizer.encode(PROMPT).ids, "negative": case.negative,
        "negativeIds": tokenizer.encode(case.negative).ids if case.negative else None, "candidates": case.batch,
        "keep": {"afterScale": case.after, "candidates": keep},
    }  # fmt: skip
    return description, {f"{case.name}/{name}": value.contiguous().numpy() for name, value in arrays.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="made anew")
    a = parser.parse_args()
    shutil.rmtree(a.out, ignore_errors=True)
    arrays: dict[str, np.ndarray] = {}
    descriptions = []
    for kind, storage in STORAGES.items():
        write(kind, a.out / kind, storage, ("0.06M",))
        tokenizer = Tokenizer.from_file(str(a.out / kind / "tokenizer.json"))
        for case in CASES:
            if case.model == kind:
                description, values = record(case, tiny_parts(kind), tokenizer, storage)
                descriptions.append(description)
                arrays |= values
    index = write_arrays(arrays, a.out / "golden.bin")
    content = {"file": "golden.bin", "cases": descriptions, "arrays": index}
    (a.out / "golden.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{len(descriptions)} cases, {len(index)} arrays")


if __name__ == "__main__":
    main()
