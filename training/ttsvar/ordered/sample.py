"""Sampling of ordered groups in Python: heads averaged, guidance on logits; the reference for the TypeScript sampler."""

from __future__ import annotations

import torch
from torch import Tensor

from ttsvar.frames.words import MotionTokenizer
from ttsvar.infinity.generator import pad
from ttsvar.ordered.model import Ordered, causal, sequence
from ttsvar.text.tokenizer import Tokenizer


@torch.no_grad()
def sample(
    model: Ordered, prompts: list[str], candidates: int, guidance: float, temperature: float, seed: int, heads: str = "both"
) -> Tensor:
    """Codes ``[prompts, candidates, L]``; ``heads``: which of a picture's two to draw from, for the ablation."""
    generator = torch.Generator().manual_seed(seed)
    words = MotionTokenizer() if model.frames > 1 else Tokenizer()
    ids = pad([words.encode(p) for p in prompts])
    with torch.autocast("cpu", torch.bfloat16):
        text = model.trunk.prompt(ids)
        none = model.trunk.prompt(ids, torch.ones(len(ids), dtype=torch.bool))
    order, group = sequence(model.grouping, model.frames)
    mask, rope = causal(group), model.rope()
    codes = torch.zeros(len(prompts), candidates, len(order), dtype=torch.long)
    start = torch.full((len(prompts), candidates, 1), model.entries)

    def logits(prompt) -> Tensor:  # noqa: ANN001
        with torch.autocast("cpu", torch.bfloat16):
            found = model(torch.cat([start, codes[:, :, order]], 2), prompt, rope, mask)
        if heads != "both":
            found = [found[0 if heads == "right" else 1]] * len(found)
        return model.targets([own.flatten(0, 1).float() for own in found])

    for index in range(int(group.max()) + 1):
        now = order[group == index]
        value = logits(text)[:, now]
        if guidance != 1:
            value = value * guidance + logits(none)[:, now] * (1 - guidance)
        value = value / temperature
        noise = -torch.log(-torch.log(torch.rand(value.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
        codes.flatten(0, 1)[:, now] = (value + noise).argmax(-1)
    return codes
