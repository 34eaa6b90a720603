"""Train the masked path of HMAR on a next-scale transformer that was fine-tuned without history.

    python -m ttsvar.infinity.train --markov --init checkpoints/generator.pt --out checkpoints/markov.pt --minutes 12
    python -m ttsvar.hmar.train --init checkpoints/markov.pt --out checkpoints/hmar.pt --minutes 6

Everything but the copied blocks, head and mask vector stays as it is. In every batch a share of the tokens of each
scale, uniform in (0, 1), is masked; the loss is taken on masked tokens only.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.hmar.masked import MaskedPart, block_diagonal_mask
from ttsvar.infinity.bits import tokens
from ttsvar.infinity.generator import Bundle, load_bundle
from ttsvar.infinity.latents import TAG_MIXES, LatentPool
from ttsvar.world import World, world_config

VALIDATION_SEED = 9_200


def draw_mask(lengths: list[int], count: int) -> Tensor:
    """``[N, sum L, 1]`` with ``ceil(L p)`` ones in every scale, p uniform for the batch, places by image."""
    share = torch.rand(()).item()
    parts = []
    for length in lengths:
        order = torch.rand(count, length).argsort(1)
        parts.append((order < math.ceil(length * share)).float())
    return torch.cat(parts, 1)[..., None]


class MaskedTrainer:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.bundle: Bundle = load_bundle(arguments.init, arguments.vae)
        self.model = self.bundle.generator.model
        self.part = MaskedPart(self.model, arguments.depth).requires_grad_(True)
        schedule = self.bundle.schedule
        cos, sin = schedule.rope_all(self.model.config.head_dim)
        self.tables = (cos, sin, block_diagonal_mask(schedule).bfloat16())
        matrices = {"mat_qkv.weight": 3, "mat_kv.weight": 2}
        groups, rest = split_parameters(self.part, lambda name, p: p.ndim == 2 and name.startswith("blocks."), matrices)
        self.rest = rest
        self.optimisers = [Muon(groups, lr=arguments.muon_lr), torch.optim.AdamW(rest, lr=arguments.lr, weight_decay=0.0)]
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.part)
        world = World(world_config(), arguments.seed + 2)
        self.pool = LatentPool(self.bundle.vae, world, arguments.pool, shares=TAG_MIXES["late"])
        held_out = LatentPool(self.bundle.vae, World(world_config(), VALIDATION_SEED), 128)
        while not held_out.full:
            held_out.grow()
        self.validation = [held_out.sample(64) for _ in range(2)]
        while self.pool.count < arguments.pool_start:
            self.pool.grow()

    def loss(self, latent: Tensor, ids: Tensor, training: bool) -> Tensor:
        """Mean cross-entropy of the masked bits, in nats."""
        quantizer, schedule, generator = self.bundle.quantizer, self.bundle.schedule, self.bundle.generator
        flip = torch.rand(len(latent)) * 0.2 * (torch.rand(len(latent)) < 0.8) if training else None
        encoded = quantizer.encode(latent, flip=flip)
        bits = torch.cat([tokens(b) for b in encoded.bits], 1).float()
        values = torch.cat([tokens(quantizer.code(b, s)) for s, b in enumerate(encoded.bits)], 1)
        masked = draw_mask(schedule.lengths, len(latent))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                states, bias = generator.states(ids)
                if training:
                    drop = torch.rand(len(ids)) < 0.1
                    states = torch.where(drop[:, None, None], self.model.unconditional(ids.shape[1]), states)
            inputs = torch.cat(encoded.inputs, 1)
            delta = self.part(self.model, states, bias, inputs, values, masked, schedule, self.tables)
        each = F.binary_cross_entropy_with_logits(delta.float(), bits, reduction="none").mean(-1, keepdim=True)
        return (each * masked).sum() / masked.sum()

    def validate(self) -> float:
        """Bits per masked bit."""
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(5)
            losses = [self.loss(z, ids, False).item() for _ in range(4) for z, ids in self.validation]
        return round(sum(losses) / len(losses) / math.log(2), 4)

    def run(self) -> None:
        a, start, step, reported = self.arguments, time.time(), 0, 0.0
        while (elapsed := time.time() - start) < a.minutes * 60:
            factor = cosine(elapsed / (a.minutes * 60), warmup=0.0) * min(1, (step + 1) / 50)
            for optimiser, rates in zip(self.optimisers, self.rates):
                for group, rate in zip(optimiser.param_groups, rates):
                    group["lr"] = rate * factor
                optimiser.zero_grad(set_to_none=True)
            loss = self.loss(*self.pool.sample(a.batch), True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
            for optimiser in self.optimisers:
                optimiser.step()
            step += 1
            if step % 4 == 0:
                self.ema.update(self.part, min(0.97, 1 - 8 / (step + 20)))
                self.pool.grow()
            if step == 10 or elapsed - reported > 60:
                reported = elapsed
                record = {
                    "minutes": round(elapsed / 60, 2), "step": step, "images": step * a.batch,
                    "train": round(loss.item() / math.log(2), 4), "validation": self.validate(),
                }  # fmt: skip
                print(record, flush=True)
                append_json(Path(a.curve), record)
        with Swapped(self.part, self.ema.state_dict()):
            averaged = self.validate()
        print("final averaged weights", averaged, "steps", step, flush=True)
        trained = {"step": step, "images": step * a.batch, "minutes": round(a.minutes, 1), "validation": averaged}
        save_checkpoint(Path(a.out), {
            "depth": a.depth, "state": self.ema.state_dict(), "trained": trained, "args": vars(a),
            "next_scale": load_checkpoint(a.init),
        })  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", default="checkpoints/markov.pt", help="the next-scale transformer without history")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--depth", type=int, default=2, help="blocks of the masked path's own")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--muon-lr", type=float, default=3e-3)
    parser.add_argument("--pool", type=int, default=60_000, help="most latents kept in memory")
    parser.add_argument("--pool-start", type=int, default=4_096, help="latents encoded before the first step")
    parser.add_argument("--seed", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="checkpoints/hmar.pt")
    parser.add_argument("--curve", default="curves/hmar.jsonl")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    MaskedTrainer(arguments).run()


if __name__ == "__main__":
    main()
