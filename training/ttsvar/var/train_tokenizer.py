"""Train the embedded VAR's tokenizer, starting from the embedded generator's encoder and decoder.

    python -m ttsvar.var.train_tokenizer --minutes 10

Straight-through on the code, VAR's loss on codebook and phis at every scale, nested dropout as for the bitwise
tokenizer (decode the code after a random coarser scale). Entries that nobody uses are moved to cells of the batch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.stream import prefetch
from ttsvar.common.training import Ema, append_json, cosine, save_checkpoint
from ttsvar.infinity.train_vae import keep_channels_last, load_vae, psnr, reconstruction_loss
from ttsvar.var import scenes
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.quantiser import tokens

SIDES = (1, 2, 3, 4, 6, 8)


def start_model(path: str, vocabulary: int) -> VqVae:
    vae, _ = load_vae(path)
    model = VqVae(vocabulary, vae.config.channels, sides=SIDES, small=vae.config)
    model.encoder.load_state_dict(vae.encoder.state_dict())
    model.decoder.load_state_dict(vae.decoder.state_dict())
    for phi in model.quantize.quant_resi.qresi_ls:
        nn.init.zeros_(phi.weight)
        nn.init.zeros_(phi.bias)
        with torch.no_grad():
            for channel in range(phi.weight.shape[0]):
                phi.weight[channel, channel, 1, 1] = 1.0
    return model.requires_grad_(True)


@torch.no_grad()
def seed_codebook(model: VqVae, world_seed: int) -> None:
    """Entries start as residual cells of all scales, more of the finer ones."""
    images, _ = scenes.batch(scenes.world(world_seed), 0, 512)
    with torch.autocast("cpu", torch.bfloat16):
        latent = model.encode(images).float()
    quantiser, book = model.quantize, model.quantize.embedding.weight
    residual, share = latent.clone(), book.shape[0] // len(SIDES)
    for scale in range(len(SIDES)):
        cells = tokens(quantiser.reduce(residual, scale)).flatten(0, 1)
        rows = slice(scale * share, book.shape[0] if scale == len(SIDES) - 1 else (scale + 1) * share)
        book[rows] = cells[torch.randint(len(cells), (rows.stop - rows.start,))]
        own = book[rows]
        index = (own.square().sum(1) - 2 * cells @ own.T).argmin(1) + rows.start
        residual = residual - quantiser.contribution(quantiser.entries(index.view(len(latent), -1), scale), scale)


def train(a: argparse.Namespace) -> None:
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    model = start_model(a.vae, a.vocabulary)
    seed_codebook(model, a.seed + 3)
    model.to(memory_format=torch.channels_last)
    groups, rest = split_parameters(
        model, lambda n, p: "coder" in n and p.ndim == 4 and p.shape[0] >= 32 and p.shape[1] >= 16 and p.shape[2] > 1
    )
    optimisers = [Muon(groups, lr=a.lr), torch.optim.AdamW(rest, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0)]
    ema, world = Ema(model), scenes.world(a.seed + 1)
    held_out, _ = scenes.batch(scenes.world(9_000), 0, 128)
    stream = prefetch(lambda i: scenes.batch(world, i * a.batch, a.batch)[0])
    used = torch.zeros(a.vocabulary)
    begin, step, reported = time.time(), 0, 0.0
    while (done := (time.time() - begin) / (60 * a.minutes)) < 1:
        rate = a.lr * min(1, (step + 1) / 50) * cosine(done, warmup=0.0)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        images = next(stream)
        with torch.autocast("cpu", torch.bfloat16):
            latent = keep_channels_last(model.encode(images))
        latent = latent.float()
        indices, codes = model.quantize.encode(latent)
        used *= 0.98
        for index in indices:
            used += torch.bincount(index.flatten(), minlength=a.vocabulary)
        fit = torch.stack([F.mse_loss(c, latent.detach()) + a.beta * F.mse_loss(c.detach(), latent) for c in codes]).mean()
        pick = torch.randint(0, len(SIDES) - 1, (a.batch,))
        drop = torch.rand(a.batch) < a.nested
        code = codes[-1]
        for scale in range(len(SIDES) - 1):
            code = torch.where((drop & (pick == scale)).view(-1, 1, 1, 1), codes[scale], code)
        code = latent + (code - latent).detach()
        with torch.autocast("cpu", torch.bfloat16):
            output = model.decoder(code.to(memory_format=torch.channels_last))
        loss, _ = reconstruction_loss(keep_channels_last(output).float(), images)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        (loss + fit).backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        if step % 20 == 0 and done < 0.7:
            with torch.no_grad():  # Move entries that fell out of use to residual cells of this batch.
                dead = (used < 0.05).nonzero()[:, 0]
                scale = int(torch.randint(2, len(SIDES), ()))
                cells = tokens(model.quantize.reduce((latent - codes[scale - 1]).detach(), scale)).flatten(0, 1)
                model.quantize.embedding.weight[dead] = cells[torch.randint(len(cells), (len(dead),))]
                used[dead] = 1.0
        if step % 5 == 0:
            ema.update(model, min(0.97, 1 - 4 / (step / 5 + 8)))
        elapsed = time.time() - begin
        if step == 10 or elapsed - reported > 60:
            reported = elapsed
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                _, codes = model.quantize.encode(model.encode(held_out).float())
                quality = [psnr(model.decode(c.to(memory_format=torch.channels_last)).float(), held_out) for c in codes]
            record = {
                "minutes": round(elapsed / 60, 2), "step": step, "images_per_second": round(step * a.batch / elapsed, 1),
                "loss": round(loss.item(), 4), "fit": round(fit.item(), 3), "used": int((used > 0.05).sum()),
                "psnr": [round(x, 2) for x in quality],
            }  # fmt: skip
            print(record, flush=True)
            append_json(Path(a.curve), {"phase": "tokenizer", **record})
    model.load_state_dict(ema.state_dict())
    with torch.no_grad():
        _, codes = model.quantize.encode(model.encode(held_out).float())
        quality = [psnr(model.decode(c), held_out) for c in codes]
    print("final PSNR by truncation", [round(x, 2) for x in quality], flush=True)
    save_checkpoint(Path(a.out), {
        "vocabulary": a.vocabulary, "sides": SIDES, "small": model.small, "state": model.state_dict(),
        "psnr": quality, "images": step * a.batch, "minutes": round((time.time() - begin) / 60, 1),
    })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--beta", type=float, default=0.25, help="weight of the commitment")
    parser.add_argument("--nested", type=float, default=0.3)
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", default="checkpoints/var-tokenizer.pt")
    parser.add_argument("--curve", default="curves/var.jsonl")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
