"""Distil a draft decoder from a VAE's full decoder.

    python -m ttsvar.infinity.train_draft --steps 4000                      # for checkpoints/vae.pt
    python -m ttsvar.infinity.train_draft --official infinity_vae_d32reg.pth --images photos/ --size 256

What it learns from are codes, not images: of each sample some scales are kept, a few bits are wrong, and the full decoder
says what they look like. Without ``--official`` the samples are scenes of the synthetic world.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.stream import prefetch
from ttsvar.common.training import Ema, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.draft import DraftConfig, DraftDecoder
from ttsvar.infinity.official.draft_data import official_vae, picture_batches
from ttsvar.infinity.train_vae import EVALUATION_SEED, keep_channels_last, load_vae, psnr, reconstruction_loss
from ttsvar.infinity.latents import TAG_MIXES, draw_scenes
from ttsvar.infinity.vae import Vae, to_float
from ttsvar.world import World, world_config


def truncated(quantizer: BitQuantizer, latent: Tensor, flip: float) -> Tensor:
    """Codes of ``latent``, each after a random scale; up to a share ``flip`` of the bits of half of them is wrong."""
    size = len(latent)
    wrong = (torch.rand(size) * flip * (torch.rand(size) < 0.5)).to(latent.device)
    cumulative = torch.stack(quantizer.encode(latent, wrong).cumulative)
    # The finished picture is looked at most often: a third of the samples.
    last = len(cumulative) - 1
    scale = torch.where(torch.rand(size) < 0.25, last, torch.randint(0, last + 1, (size,)))
    return cumulative[scale, torch.arange(size)]


@torch.no_grad()
def agreement(draft: DraftDecoder, vae: Vae, quantizer: BitQuantizer, images: Tensor) -> list[float]:
    """PSNR in dB between draft and full decode, after every scale."""
    with torch.autocast(images.device.type, torch.bfloat16):
        codes = quantizer.encode(vae.encode(images)).cumulative
        codes = [c.to(memory_format=torch.channels_last) for c in codes]
        return [psnr(draft.decode(c).float(), vae.decode(c).float()) for c in codes]


def load_draft(path: Path | str) -> DraftDecoder:
    checkpoint = load_checkpoint(path)
    draft = DraftDecoder(DraftConfig(**checkpoint["config"]))
    draft.load_state_dict(checkpoint["state"])
    return draft.eval().requires_grad_(False)


def train(vae: Vae, quantizer: BitQuantizer, batches: Iterator[np.ndarray], held_out: np.ndarray, a) -> DraftDecoder:  # noqa: ANN001
    """``batches``, ``held_out``: uint8 ``[n, S, S, 3]``."""
    device = a.device
    vae.to(device, memory_format=torch.channels_last)
    quantizer.to(device)
    draft = DraftDecoder(DraftConfig.of(vae.config))
    if a.init:
        draft.load_state_dict(load_checkpoint(a.init)["state"])
    draft.to(device, memory_format=torch.channels_last)
    groups, rest = split_parameters(draft, lambda _, p: p.ndim == 4 and p.shape[0] >= 16)
    optimisers = [Muon(groups, lr=a.lr), torch.optim.AdamW(rest, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0)]
    ema = Ema(draft)
    test = to_float(held_out).to(device)
    start, step, reported = time.time(), 0, 0.0
    while (done := (time.time() - start) / (60 * a.minutes) if a.minutes else step / a.steps) < 1:
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = a.lr * min(1, (step + 1) / 50) * cosine(done, warmup=0.0)
        images = to_float(next(batches)).to(device)
        with torch.autocast(device, torch.bfloat16):
            with torch.no_grad():
                code = truncated(quantizer, vae.encode(images).float(), a.flip).to(memory_format=torch.channels_last)
                target = vae.decode(code).float()
            output = draft(code)
        loss, _ = reconstruction_loss(keep_channels_last(output).float(), target)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        if step % 5 == 0:
            ema.update(draft, min(0.98, 1 - 4 / (step / 5 + 8)))
        elapsed = time.time() - start
        if step in (20, 100) or elapsed - reported > 60:
            reported = elapsed
            record = {
                "minutes": round(elapsed / 60, 2), "step": step, "images_per_second": round(step * len(images) / elapsed, 1),
                "loss": round(loss.item(), 4), "psnr": [round(x, 2) for x in agreement(draft, vae, quantizer, test)],
            }  # fmt: skip
            print(record, flush=True)
            append_json(Path(a.curve), record)
    draft.load_state_dict(ema.state_dict())
    quality = agreement(draft.eval(), vae, quantizer, test)
    print("final agreement by scale, dB:", [round(x, 2) for x in quality], "images", step * a.batch, flush=True)
    save_checkpoint(Path(a.out), {
        "config": draft.config.asdict(), "state": draft.cpu().state_dict(), "psnr": quality, "images": step * a.batch,
        "args": vars(a),
    })  # fmt: skip
    return draft


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--official", type=Path, help="released VAE of Infinity to learn from, instead of --vae")
    parser.add_argument("--images", type=Path, help="with --official: folder of pictures")
    parser.add_argument("--size", type=int, default=256, help="with --official: pixels of a side")
    parser.add_argument("--world", choices=("narrow", "wide"), default="narrow")
    parser.add_argument("--steps", type=int, default=1_200)
    parser.add_argument("--minutes", type=float, default=0, help="wall-clock schedule instead of --steps")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--flip", type=float, default=0.1, help="largest share of wrong bits")
    parser.add_argument("--init", default="", help="draft decoder to go on with")
    parser.add_argument("--seed", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", default="checkpoints/draft.pt")
    parser.add_argument("--curve", default="curves/draft.jsonl")
    a = parser.parse_args()
    if (a.official is None) != (a.images is None):
        parser.error("--official and --images belong together")
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    if a.official:
        vae, quantizer = official_vae(a.official, a.size)
        held_out = next(picture_batches(a.images, a.size, 16, EVALUATION_SEED))
        train(vae, quantizer, picture_batches(a.images, a.size, a.batch, a.seed), held_out, a)
        return
    vae, quantizer = load_vae(a.vae)
    size = quantizer.grids[-1][0] * vae.config.stride
    world = World(world_config(size, a.world), a.seed + 1)
    held_out = World(world_config(size, a.world), EVALUATION_SEED).batch(0, 256).images
    shares = TAG_MIXES["wide" if a.world == "wide" else "even"]
    train(vae, quantizer, prefetch(lambda i: draw_scenes(world, i * a.batch, a.batch, shares)[0]), held_out, a)


if __name__ == "__main__":
    main()
