"""Sampling of masked sets in Python: reveals, linear guidance in the head, temperature; the TypeScript sampler's reference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ttsvar.infinity.generator import pad
from ttsvar.latent.trunk import Prompt
from ttsvar.masked_set.conditioned import Cascade
from ttsvar.masked_set.model import CLAMP, MaskedSet, normal_levels, reveals, signal
from ttsvar.text.tokenizer import Tokenizer


def denoise_step(x: Tensor, noise: Tensor, time: float, target: float, fresh: Tensor | None, temperature: float) -> Tensor:
    """One ancestral step from the predicted ``noise``; ``fresh`` None: without noise of its own."""
    now, then = float(signal(time)), float(signal(target)) if target > 0 else 1.0
    clean = ((x - (1 - now) ** 0.5 * noise) / now**0.5).clamp(-CLAMP, CLAMP)
    if target <= 0:
        return clean
    ratio = now / then
    mean = then**0.5 * (1 - ratio) / (1 - now) * clean + ratio**0.5 * (1 - then) / (1 - now) * x
    variance = (1 - then) / (1 - now) * (1 - ratio)
    return mean if fresh is None else mean + temperature * variance**0.5 * fresh


def draw_levels(model: MaskedSet, vectors: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Tokens ``[N, d]`` channel by channel."""
    table = normal_levels(model.levels).float()
    read = torch.full((len(vectors), 1), model.channels * model.levels)
    out = torch.zeros(len(vectors), model.channels)
    for turn, channel in enumerate(model.order):
        logits = model.head(read, vectors)[:, -1] / max(temperature, 1e-6)
        level = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        out[:, channel] = table[level[:, 0]]
        read = torch.cat([read, level + turn * model.levels], 1)
    return out


#: Vectors of all positions with the text and without, for tokens ``[G, B, N, d]`` and what is known ``[G, B, N]``.
Passes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@torch.no_grad()
def revealed(
    model: MaskedSet, passes: Passes, shape: tuple[int, int, int], stages: int, head_steps: int, guidance: float,
    temperature: float, generator: torch.Generator, linear: bool = True,
) -> Tensor:  # fmt: skip
    """Tokens of canvases, set by set; ``shape``: prompts, candidates, tokens."""
    order = torch.rand(shape, generator=generator).argsort(-1).argsort(-1)
    tokens, done = torch.zeros(*shape, model.channels), 0
    for count in reveals(shape[2], stages):
        known = (order < done).float()
        with torch.autocast("cpu", torch.bfloat16):
            vector, plain = (x.float() for x in passes(tokens, known))
        done += count
        weight = 1 + (guidance - 1) * done / shape[2] if linear else guidance
        now = (order < done) & (known < 0.5)
        if model.levels:
            tokens[now] = draw_levels(model, plain[now] + weight * (vector[now] - plain[now]), temperature, generator)
            continue
        both = torch.cat([vector[now], plain[now]])
        x = torch.randn(int(now.sum()), model.channels, generator=generator)
        for step in range(head_steps):
            time, target = (head_steps - step) / head_steps * 0.995, (head_steps - step - 1) / head_steps * 0.995
            with torch.autocast("cpu", torch.bfloat16):
                first, second = model.head(x.repeat(2, 1), torch.tensor([time]), both).float().chunk(2)
            noise = second + weight * (first - second)
            fresh = torch.randn(x.shape, generator=generator)
            x = denoise_step(x, noise, time, target, fresh, temperature)
        tokens[now] = x
    return tokens


def prompts_of(model: MaskedSet, prompts: list[str], negative: str | None = None) -> tuple[Prompt, Prompt]:
    """With the text, and without: the learned stand-in, or a generic text."""
    ids = pad([Tokenizer().encode(p) for p in prompts])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        if negative is not None:
            return model.trunk.prompt(ids), model.trunk.prompt(pad([Tokenizer().encode(negative)] * len(prompts)))
        return model.trunk.prompt(ids), model.trunk.prompt(ids, torch.ones(len(ids), dtype=torch.bool))


def sample(
    model: MaskedSet, prompts: list[str], candidates: int, stages: int, head_steps: int, guidance: float,
    temperature: float, seed: int, linear: bool = True, negative: str | None = None,
) -> Tensor:  # fmt: skip
    """Tokens ``[prompts, candidates, 64, d]``."""
    generator = torch.Generator().manual_seed(seed)
    text, none = prompts_of(model, prompts, negative)

    def passes(tokens: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return model(tokens, known, text), model(tokens, known, none)

    shape = (len(prompts), candidates, 64)
    return revealed(model, passes, shape, stages, head_steps, guidance, temperature, generator, linear)


def sample_cascade(
    model: Cascade, prompts: list[str], candidates: int, stages: int, head_steps: int, guidance: float,
    temperature: float, seed: int, coarse_stages: int = 4, augment: float = 0.5,
) -> Tensor:  # fmt: skip
    """The same of a cascade: coarse canvases first, then fine ones given those with noise mixed in."""
    generator = torch.Generator().manual_seed(seed)
    text, none = prompts_of(model, prompts)

    def first(tokens: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return model.coarse(tokens, known, text), model.coarse(tokens, known, none)

    count = model.grid**2
    shape, rest = (len(prompts), candidates), (head_steps, guidance, temperature, generator)
    coarse = revealed(model, first, (*shape, count), coarse_stages, *rest)
    time = torch.full((len(prompts),), augment)
    kept = float(signal(augment)) if augment > 0 else 1.0
    seen = kept**0.5 * coarse + (1 - kept) ** 0.5 * torch.randn(coarse.shape, generator=generator)

    def second(tokens: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return model(tokens, known, text, seen, time), model(tokens, known, none, seen, time)

    return revealed(model, second, (*shape, 64), stages, *rest)
