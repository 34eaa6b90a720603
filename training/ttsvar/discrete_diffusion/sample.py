"""Sampling of VQ-DDM in Python: strided posterior, guidance on logits; the reference for the TypeScript sampler."""

from __future__ import annotations

import torch
from torch import Tensor

from ttsvar.discrete_diffusion.model import DiscreteDiffusion, keep_share
from ttsvar.infinity.generator import pad
from ttsvar.text.tokenizer import Tokenizer


def posterior(clean: Tensor, noisy: Tensor, time: float, target: float) -> Tensor:
    """``p(x_s | x_t)`` for ``clean`` ``[..., K]`` = ``p(x_0)`` and codes ``noisy`` ``[...]``; not normalised."""
    entries = clean.shape[-1]
    kept, kept_target = float(keep_share(time)), float(keep_share(target))
    step = kept / kept_target
    likelihood = torch.full_like(clean, (1 - step) / entries)
    likelihood.scatter_add_(-1, noisy[..., None], torch.full_like(clean[..., :1], step))
    return likelihood * (kept_target * clean + (1 - kept_target) / entries)


@torch.no_grad()
def sample(
    model: DiscreteDiffusion, prompts: list[str], candidates: int, steps: int, guidance: float, temperature: float, seed: int
) -> Tensor:
    """Codes ``[prompts, candidates, 64]``."""
    generator = torch.Generator().manual_seed(seed)
    ids = pad([Tokenizer().encode(p) for p in prompts])
    with torch.autocast("cpu", torch.bfloat16):
        text = model.trunk.prompt(ids)
        none = model.trunk.prompt(ids, torch.ones(len(ids), dtype=torch.bool))
    codes = torch.randint(0, model.entries, (len(prompts), candidates, 64), generator=generator)
    for step in range(steps):
        time, target = 1 - step / steps, 1 - (step + 1) / steps
        at = torch.full((len(prompts),), time)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(codes, at, text).float()
            if guidance != 1:
                logits = logits * guidance + model(codes, at, none).float() * (1 - guidance)
        clean = (logits / temperature).softmax(-1)
        weights = posterior(clean, codes, time, target)
        noise = -torch.log(-torch.log(torch.rand(weights.shape, generator=generator).clamp(1e-9, 1 - 1e-7)))
        codes = (weights.clamp(min=1e-30).log() + noise).argmax(-1)
    return codes
