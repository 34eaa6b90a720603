"""Train the narrow autoencoder over the embedded VAE's latents, then cluster its tokens and tune the decoder for codes.

    python -m ttsvar.latent.train narrow --steps 1200
    python -m ttsvar.latent.train codebook --steps 600

``narrow``: squared error of the wide latents plus a light divergence; ends with tokens of zero mean and unit variance.
``codebook``: k-means over the tokens of the training scenes (what VQ-DDM calls ReFiT: codes that nobody uses cannot stay),
then the widening net is tuned on codes while the encoder stays as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, append_json, cosine, save_checkpoint
from ttsvar.latent.model import CHANNELS, Codebook, Narrow, divergence, load_narrow
from ttsvar.latent.pool import load_pool

HELD_OUT = 512


def is_kernel(_: str, p: nn.Parameter) -> bool:
    return p.ndim == 4 and min(p.shape[:2]) >= 16


def optimise(model: nn.Module, loss: Callable[[], Tensor], quality: Callable[[], dict], a: argparse.Namespace) -> None:
    """``a.steps`` steps of Muon and AdamW; ends with the averaged weights."""
    groups, rest = split_parameters(model, is_kernel)
    optimisers = [Muon(groups, lr=4e-3), torch.optim.AdamW(rest, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.0)]
    rates = [[group["lr"] for group in o.param_groups] for o in optimisers]
    ema, start = Ema(model), time.time()
    for step in range(a.steps):
        factor = cosine(step / a.steps, warmup=0.0) * min(1, (step + 1) / 50)
        for optimiser, base in zip(optimisers, rates):
            for group, rate in zip(optimiser.param_groups, base):
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        for optimiser in optimisers:
            optimiser.step()
        if step % 5 == 4:
            ema.update(model, min(0.98, 1 - 4 / (step / 5 + 8)))
        if step % 100 == 99:
            record = {"phase": a.phase, "step": step + 1, "seconds": round(time.time() - start), **quality()}
            print(record, flush=True)
            append_json(Path(a.curve), record)
    model.load_state_dict(ema.state_dict())


def batch(latents: Tensor, size: int) -> Tensor:
    index = torch.randint(0, len(latents) - HELD_OUT, (size,))
    return latents[index].float().to(memory_format=torch.channels_last)


def train_narrow(a: argparse.Namespace) -> None:
    latents = load_pool(a.pool).latents
    held_out = latents[-HELD_OUT:].float()
    model = Narrow(a.channels).to(memory_format=torch.channels_last)

    def loss() -> Tensor:
        wide = batch(latents, a.batch)
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = model.posterior(wide)
            token = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            back = model.widen(token.to(memory_format=torch.channels_last))
        return F.mse_loss(back.float(), wide) + a.kl * divergence(mean, log_variance)

    @torch.no_grad()
    def quality() -> dict:
        mean, log_variance = model.posterior(held_out)
        error = F.mse_loss(model.widen(mean), held_out)
        return {"error": round(error.item(), 4), "sigma": round((0.5 * log_variance).exp().mean().item(), 3)}

    optimise(model, loss, quality, a)
    with torch.no_grad():
        means = torch.cat([model.posterior(part.float())[0] for part in latents.split(512)])
        model.mean.copy_(means.mean((0, 2, 3)))
        model.std.copy_(means.std((0, 2, 3)))
    save_checkpoint(Path(a.out), {"state": model.state_dict(), "channels": a.channels, **quality()})


@torch.no_grad()
def cluster(points: Tensor, entries: int, rounds: int) -> Tensor:
    """k-means ``[entries, d]``; entries that lose all their points move to the points that are worst served."""
    centres = points[torch.randperm(len(points))[:entries]].clone()
    for _ in range(rounds):
        distance, nearest = nearest_of(points, centres)
        count = torch.bincount(nearest, minlength=entries)
        total = torch.zeros_like(centres).index_add_(0, nearest, points)
        centres = torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], centres)
        empty = (count == 0).nonzero()[:, 0]
        centres[empty] = points[distance.topk(len(empty)).indices]
    return centres


def nearest_of(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the nearest centre, and which it is."""
    found = [
        (centres.pow(2).sum(1) - 2 * part @ centres.T).min(1) for part in points.split(16_384)
    ]  # fmt: skip
    distance = torch.cat([f.values for f in found]) + points.pow(2).sum(1)
    return distance, torch.cat([f.indices for f in found])


def usage(codes: Tensor, entries: int) -> float:
    """Share of the entries that are used at all."""
    return codes.unique().numel() / entries


def train_codebook(a: argparse.Namespace) -> None:
    latents, narrow = load_pool(a.pool).latents, load_narrow(a.narrow)
    with torch.no_grad():
        tokens = torch.cat([narrow.encode(part.float()) for part in latents.split(512)])
    points = tokens.flatten(2).transpose(1, 2).reshape(-1, narrow.channels)
    # Plain background is half of all cells: thinned out, or it would take codes that objects need.
    thinned = points[torch.randperm(len(points))[: a.points]]
    model = Codebook(a.entries, narrow.channels)
    # Before: entries drawn as a quantiser's usual start draws them, around nothing. After: k-means.
    before = usage(nearest_of(thinned, torch.empty(a.entries, narrow.channels).uniform_(-1, 1) / a.entries**0.5)[1], a.entries)
    model.entries.copy_(cluster(thinned, a.entries, a.rounds))
    model.widen.load_state_dict(narrow.widen.state_dict())
    with torch.no_grad():  # the narrow net widens tokens before normalisation
        first = model.widen[0]
        first.bias += (first.weight * narrow.mean.view(1, -1, 1, 1)).sum((1, 2, 3))
        first.weight *= narrow.std.view(1, -1, 1, 1)
    model.to(memory_format=torch.channels_last)
    codes = torch.cat([model.nearest(part) for part in tokens.split(512)])
    held_out = latents[-HELD_OUT:].float()

    def loss() -> Tensor:
        index = torch.randint(0, len(latents) - HELD_OUT, (a.batch,))
        with torch.autocast("cpu", torch.bfloat16):
            back = model.decode(codes[index])
        return F.mse_loss(back.float(), latents[index].float())

    @torch.no_grad()
    def quality() -> dict:
        return {"error": round(F.mse_loss(model.decode(codes[-HELD_OUT:]), held_out).item(), 4)}

    print(json.dumps({"untuned": quality(), "usageBefore": before, "usage": usage(codes, a.entries)}), flush=True)
    optimise(model, loss, quality, a)
    facts = {"usageBefore": before, "usage": usage(codes, a.entries), **quality()}
    save_checkpoint(Path(a.out), {"state": model.state_dict(), **facts})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=("narrow", "codebook"))
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--kl", type=float, default=3e-3, help="narrow: weight of the divergence by value")
    parser.add_argument("--entries", type=int, default=512)
    parser.add_argument("--points", type=int, default=400_000, help="codebook: tokens that are clustered")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pool", default="checkpoints/pool.pt")
    parser.add_argument("--narrow", default="checkpoints/narrow.pt")
    parser.add_argument("--out", default="")
    parser.add_argument("--curve", default="curves/latent.jsonl")
    a = parser.parse_args()
    a.out = a.out or f"checkpoints/{a.phase}.pt"
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    (train_narrow if a.phase == "narrow" else train_codebook)(a)


if __name__ == "__main__":
    main()
