"""Sampling with key/value caches in Python: the reference for the TypeScript sampler, and a grid renderer.

    python -m ttsvar.infinity.sample --out grid.png "a photo of two dogs" "a photo of a red car"
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ttsvar.infinity.bits import from_tokens, resize, to_tokens
from ttsvar.infinity.generator import CLOSED, Bundle, load_bundle, pad
from ttsvar.infinity.model import Condition
from ttsvar.infinity.vae import to_uint8
from ttsvar.text.tokenizer import Tokenizer

TOP_P = 0.97


@dataclass
class Settings:
    """Per-scale guidance and temperature; both lists have one entry per scale."""

    guidance: Sequence[float]
    temperature: Sequence[float]
    top_p: float = TOP_P

    @staticmethod
    def embedded() -> Settings:
        """Those of the embedded model, chosen on tuning prompts for one image and for the best of eight alike."""
        return Settings([2.5] * 6, [1.0, 0.7, 0.5, 0.4, 0.3, 0.25])


@dataclass
class Trace:
    """What one run computed, per scale; latents are cumulative codes ``[N, d, H, W]``."""

    deltas: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    bits: list[Tensor] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)


def guided(cond: Tensor, uncond: Tensor, guidance: float, temperature: float) -> Tensor:
    """Classifier-free guidance on logit differences."""
    return (guidance * cond + (1 - guidance) * uncond) / temperature


def draw(delta: Tensor, noise: Tensor, top_p: float) -> Tensor:
    """Bits from differences; if the rarer value has probability <= 1 - top_p the likelier one is taken."""
    bits = noise < torch.sigmoid(delta)
    if top_p < 1:
        sure = delta.abs() >= math.log(top_p / (1 - top_p))
        bits = torch.where(sure, delta > 0, bits)
    return bits


def keyed_noise(seed: int, candidate: int, scale: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform noise that depends only on its arguments, not on the batch."""
    generator = np.random.Generator(np.random.Philox(key=[seed, candidate * 64 + scale]))
    return torch.from_numpy(generator.random(shape, dtype=np.float32))


def _padded(states: Tensor, bias: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Extend text states ``[N, T, Ct]`` and bias ``[N, 1, 1, T]`` to ``length`` with closed positions."""
    extra = length - states.shape[1]
    return functional.pad(states, (0, 0, 0, extra)), functional.pad(bias, (0, extra), value=CLOSED)


def conditions(bundle: Bundle, prompts: Sequence[str], negative: Sequence[str] | None = None) -> Condition:
    """Conditional groups of all prompts, then their unconditional groups: ``G = 2 * len(prompts)``.

    ``negative`` prompts replace the learned unconditional text; their lengths may differ.
    """
    tokenizer, generator = Tokenizer(), bundle.generator
    states, bias = generator.states(pad([tokenizer.encode(p) for p in prompts]))
    if negative is None:
        other = generator.model.unconditional(states.shape[1]).expand(len(prompts), -1, -1)
        other_bias = bias
    else:
        other, other_bias = generator.states(pad([tokenizer.encode(p) for p in negative]))
    length = max(states.shape[1], other.shape[1])
    states, bias = _padded(states, bias, length)
    other, other_bias = _padded(other, other_bias, length)
    return generator.model.condition(torch.cat([states, other]), torch.cat([bias, other_bias]))


@torch.no_grad()
def sample(
    bundle: Bundle,
    prompts: Sequence[str],
    candidates: int,
    settings: Settings,
    seed: int = 0,
    fast: bool = True,
    trace: Trace | None = None,
    negative: Sequence[str] | None = None,
) -> Tensor:
    """Final latents ``[len(prompts), candidates, d, H, W]``; ``fast`` computes in bfloat16."""
    model, quantizer, schedule = bundle.generator.model, bundle.quantizer, bundle.schedule
    count, d, channels = len(prompts), quantizer.dim, model.config.token_channels
    height, width = quantizer.grids[-1]
    latent = torch.zeros(count * candidates, d, height, width)
    past: list | None = None
    with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
        condition = conditions(bundle, prompts, negative)
        for scale, length in enumerate(schedule.lengths):
            if scale == 0:
                z = torch.zeros(count * candidates, length, channels)
                x_add = model.first_input(condition)
            else:
                z = to_tokens(resize(latent, quantizer.grids[scale]), schedule.patchify)
                x_add = model.level_input(scale, 2 * count)
            grouped = z.view(count, candidates, length, channels)
            rope = schedule.rope(scale, model.config.head_dim)
            delta, new = model.step(torch.cat([grouped, grouped]), x_add, rope, condition, past)
            past = [
                (torch.cat([p[0], n[0]], 2), torch.cat([p[1], n[1]], 2)) for p, n in zip(past, new)
            ] if past else new  # fmt: skip
            cond, uncond = delta.float().chunk(2)
            logits = guided(cond, uncond, settings.guidance[scale], settings.temperature[scale])
            noise = torch.stack([keyed_noise(seed, c, scale, (length, channels)) for c in range(candidates)])
            bits = draw(logits, noise[None], settings.top_p)
            grid = from_tokens(bits.flatten(0, 1), schedule.scales[scale], schedule.patchify)
            latent = latent + quantizer.contribution(grid, scale)
            if trace is not None:
                trace.deltas.append(delta)
                trace.inputs.append(z)
                trace.bits.append(bits)
                trace.latents.append(latent)
    return latent.view(count, candidates, d, height, width)


@torch.no_grad()
def render(bundle: Bundle, latents: Tensor, fast: bool = True) -> np.ndarray:
    """Latents ``[N, d, H, W]`` -> uint8 ``[N, S, S, 3]``."""
    with torch.autocast("cpu", torch.bfloat16) if fast else nullcontext():
        parts = [bundle.vae.decode(x.contiguous(memory_format=torch.channels_last)) for x in latents.split(64)]
    return to_uint8(torch.cat([p.float() for p in parts])).numpy()


CARD_PROMPTS = [
    f"a photo of {scene}" for scene in (
        "a dog", "a clock", "a pizza", "a teddy bear", "a red car", "a blue apple", "a green bus", "a purple elephant",
        "two cats", "three oranges", "four clocks", "two pizzas",
        "a cake and a cup", "a horse and a bicycle", "a banana and a bird", "a bear and a kite",
        "a cat left of a chair", "a dog right of a tie", "a kite above a boat", "a pizza below a laptop",
        "a red apple and a blue car", "a green cup and a pink cow", "a black dog and a yellow umbrella",
        "a purple suitcase and an orange pizza",
    )
]  # fmt: skip


def save_grid(path: str, images: np.ndarray, columns: int, zoom: int = 2) -> None:
    """Images ``[N, S, S, 3]`` as a PNG grid."""
    from PIL import Image

    n, s = images.shape[:2]
    rows = -(-n // columns)
    sheet = np.full((rows * (s + 2), columns * (s + 2), 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (s + 2), i % columns * (s + 2)
        sheet[y : y + s, x : x + s] = image
    picture = Image.fromarray(sheet)
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", nargs="*", default=CARD_PROMPTS, help="default: those of the model card's picture")
    parser.add_argument("--checkpoint", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", default="grid.png")
    parser.add_argument("--candidates", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    bundle = load_bundle(a.checkpoint, a.vae)
    latents = sample(bundle, a.prompts, a.candidates, Settings.embedded(), a.seed).flatten(0, 1)
    save_grid(a.out, render(bundle, latents), a.candidates if a.candidates > 1 else 8)


if __name__ == "__main__":
    main()
