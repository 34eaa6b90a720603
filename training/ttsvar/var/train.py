"""Train the embedded VAR: a class in, the residual codes of a scene out.

    python -m ttsvar.var.train --minutes 20
    python -m ttsvar.var.train --resume --minutes 20      # a further cycle on the same weights

Cross-entropy on all scales at once (block-causal mask). 10 % of the labels become "no class" for guidance; in most
images some of the codes that are fed forward are wrong and later targets correct them.
"""

from __future__ import annotations

import argparse
import importlib
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.stream import prefetch
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.infinity import layers
from ttsvar.var import scenes
from ttsvar.var.autoencoder import VqVae
from ttsvar.var.model import Var, VarConfig, block_mask

CHUNK = 128


def load_tokenizer(path: Path | str) -> VqVae:
    checkpoint = load_checkpoint(path)
    vae = VqVae(checkpoint["vocabulary"], 32, sides=checkpoint["sides"], small=checkpoint["small"])
    vae.load_state_dict(checkpoint["state"])
    return vae.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def load_var(path: Path | str) -> tuple[Var, dict]:
    """Averaged weights of a checkpoint of this trainer, and what it says of itself."""
    checkpoint = load_checkpoint(path)
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in checkpoint["config"].items()}
    model = Var(VarConfig(**config))
    model.load_state_dict(checkpoint["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in checkpoint.items() if k != "state"}


class Pool:
    """Latents and labels of all scenes encoded so far."""

    def __init__(self, vae: VqVae, seed: int):
        self.vae, world = vae, scenes.world(seed)
        self.latents: list[Tensor] = []
        self.labels: list[Tensor] = []
        self._stream = prefetch(lambda i: scenes.batch(world, i * CHUNK, CHUNK))

    @torch.no_grad()
    def grow(self) -> None:
        images, labels = next(self._stream)
        with torch.autocast("cpu", torch.bfloat16):
            self.latents.append(self.vae.encode(images).float().contiguous().half())
        self.labels.append(labels)

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        chunk, row = torch.randint(len(self.labels), (size,)).tolist(), torch.randint(CHUNK, (size,)).tolist()
        latents = torch.stack([self.latents[c][r] for c, r in zip(chunk, row)]).float()
        return latents, torch.stack([self.labels[c][r] for c, r in zip(chunk, row)])


class Trainer:
    def __init__(self, a: argparse.Namespace):
        self.a, self.vae = a, load_tokenizer(a.tokenizer)
        self.quantiser = self.vae.quantize
        self.model = Var(VarConfig(a.depth, vocabulary=self.quantiser.embedding.num_embeddings))
        self.model.reset()
        self.images, self.minutes = 0, 0.0
        if a.resume:
            start = load_checkpoint(a.out)
            self.model.load_state_dict(start["state"])
            self.images, self.minutes = start["images"], start["minutes"]
        lengths = self.model.config.lengths
        self.lengths, self.mask = lengths, block_mask(lengths).bfloat16()
        weight = torch.cat([torch.full((n,), n**-0.5) for n in lengths])
        self.weight = weight / weight.mean()
        groups, rest = split_parameters(
            self.model, lambda n, p: p.ndim == 2 and n.startswith("blocks"), {"mat_qkv.weight": 3, "ada_lin.1.weight": 6}
        )
        self.rest = rest
        self.optimisers = [
            Muon(groups, lr=a.muon_lr), torch.optim.AdamW(rest, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0)
        ]  # fmt: skip
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.model)
        held_out = Pool(self.vae, 9_100)
        for _ in range(2):
            held_out.grow()
        self.pool = Pool(self.vae, a.seed + 2 + self.images)
        torch.manual_seed(1)
        self.validation = [held_out.sample(64) for _ in range(4)]
        torch.manual_seed(a.seed + self.images)

    def losses(self, latent: Tensor, labels: Tensor, training: bool) -> Tensor:
        """Cross-entropy per token, ``[sum L]``, in nats."""
        flip = None
        if training:
            flip = torch.rand(len(latent)) * self.a.flip * (torch.rand(len(latent)) < 0.7)
            labels = torch.where(torch.rand(len(labels)) < 0.1, self.model.config.classes, labels)
        with torch.no_grad():
            indices, codes = self.quantiser.encode(latent, flip)
            inputs = torch.cat([self.quantiser.next_input(code, i + 1) for i, code in enumerate(codes[:-1])], 1)
        target = torch.cat(indices, 1)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(labels, inputs, self.mask)
        return F.cross_entropy(logits.float().transpose(1, 2), target, reduction="none").mean(0)

    def validate(self) -> list[float]:
        """Bits per token by scale and overall."""
        with torch.no_grad():
            loss = torch.stack([self.losses(z, y, False) for z, y in self.validation]).mean(0) / math.log(2)
        return [round(x, 3) for x in [*(p.mean().item() for p in loss.split(self.lengths)), loss.mean().item()]]

    def optimise(self, factor: float) -> float:
        for optimiser, rates in zip(self.optimisers, self.rates):
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        loss = (self.losses(*self.pool.sample(self.a.batch), True) * self.weight).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.item() / math.log(2)

    def save(self, validation: list[float], images: int, minutes: float) -> None:
        save_checkpoint(Path(self.a.out), {
            "config": self.model.config.asdict(), "state": self.ema.state_dict(), "images": self.images + images,
            "minutes": round(self.minutes + minutes, 1), "validation": validation,
        })  # fmt: skip

    def run(self) -> None:
        a, begin, step, reported, running = self.a, time.time(), 0, 0.0, None
        for _ in range(min(24, a.pool)):
            self.pool.grow()
        while (done := (time.time() - begin) / (60 * a.minutes)) < 1:
            loss = self.optimise(cosine(done, warmup=0.0) * min(1, (step + 1) / 100))
            running = loss if running is None else 0.97 * running + 0.03 * loss
            step += 1
            if step % 4 == 0:
                self.ema.update(self.model, min(0.9, 1 - 8 / (step + 20)))
            if step % 4 == 0 and len(self.pool.labels) < a.pool:
                self.pool.grow()
            elapsed = time.time() - begin
            if step == 20 or elapsed - reported > 120:
                reported = elapsed
                record = {
                    "minutes": round(elapsed / 60, 2), "step": step, "images_per_second": round(step * a.batch / elapsed, 1),
                    "train": round(running, 3), "validation": self.validate(),
                }  # fmt: skip
                print(record, flush=True)
                append_json(Path(a.curve), {"phase": "transformer", **record})
        with Swapped(self.model, self.ema.state_dict()):
            averaged = self.validate()
        print("final averaged weights", averaged, "images", self.images + step * a.batch, flush=True)
        self.save(averaged, step * a.batch, (time.time() - begin) / 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--muon-lr", type=float, default=6e-3)
    parser.add_argument("--flip", type=float, default=0.15)
    parser.add_argument("--pool", type=int, default=24, help=f"most chunks of {CHUNK} scenes kept in memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tokenizer", default="checkpoints/var-tokenizer.pt")
    parser.add_argument("--out", default="checkpoints/var.pt")
    parser.add_argument("--curve", default="curves/var.jsonl")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    trainer = Trainer(a)
    if a.compile:
        inductor = importlib.import_module("torch._inductor.config")
        inductor.cpp.dynamic_threads = True
        for name in ("modulated_norm", "gated_add"):
            setattr(layers, name, torch.compile(getattr(layers, name), dynamic=False))
    trainer.run()


if __name__ == "__main__":
    main()
