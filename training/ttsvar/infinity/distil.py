"""Teach a transformer the distributions of a trained one: a cheaper net, or the same net without history (HMAR).

    python -m ttsvar.infinity.distil --build 6144                # encode scenes and write down the teacher's logits, once
    python -m ttsvar.infinity.distil --config small --late 2 --out checkpoints/small.pt --minutes 18
    python -m ttsvar.infinity.distil --markov --init checkpoints/generator.pt --out checkpoints/markov.pt --minutes 14

The student sees what the teacher saw (bits fed forward are flipped as in :mod:`ttsvar.infinity.train`) and is trained on
the cross-entropy to the teacher's probabilities, which say more than drawn bits: a few thousand scenes are enough.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.hmar.masked import block_diagonal_mask, token_weights
from ttsvar.infinity.bits import tokens
from ttsvar.infinity.generator import Bundle, Generator, load_bundle, pad
from ttsvar.infinity.latents import TAG_MIXES, draw_scenes
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.train import RECIPES, compile_elementwise, is_block_matrix
from ttsvar.infinity.vae import to_float
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.world import World, world_config

HELD_OUT = 256


@torch.no_grad()
def build_pool(bundle: Bundle, count: int, seed: int, flip: float) -> dict:
    """Scenes as the teacher sees them: ids, inputs, target bits and its logits with and without the text.

    inputs ``[N, sum L - 1, d]``, bits and logits ``[N, sum L, d]``, half precision; ``empty`` marks those without text.
    """
    world = World(world_config(), seed)
    schedule, quantizer, generator = bundle.schedule, bundle.quantizer, bundle.generator
    cos, sin = schedule.rope_all(generator.model.config.head_dim)
    tables = (cos, sin, schedule.block_mask().bfloat16())
    parts: dict[str, list] = {"ids": [], "inputs": [], "bits": [], "logits": [], "empty": []}
    for start in range(0, count, 64):
        images, ids = draw_scenes(world, start, 64, TAG_MIXES["late"])
        with torch.autocast("cpu", torch.bfloat16):
            latent = bundle.vae.encode(to_float(images)).float()
            rate = torch.rand(64) * flip * (torch.rand(64) < 0.8)
            encoded = quantizer.encode(latent, flip=rate)
            inputs, empty = torch.cat(encoded.inputs, 1), torch.rand(64) < 0.1
            logits = generator(pad(ids), inputs, schedule, tables, empty)
        parts["ids"] += ids
        parts["inputs"].append(inputs.half())
        parts["bits"].append(torch.cat([tokens(b) for b in encoded.bits], 1))
        parts["logits"].append(logits.half())
        parts["empty"].append(empty)
    return {name: value if name == "ids" else torch.cat(value) for name, value in parts.items()}


class Distiller:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        self.pool = load_checkpoint(arguments.pool)
        sides = load_checkpoint(arguments.teacher)["sides"]
        self.schedule = Schedule.square(sides)
        self.generator, self.before = self._student()
        config = self.generator.model.config
        cos, sin = self.schedule.rope_all(config.head_dim)
        mask = block_diagonal_mask(self.schedule) if arguments.markov else self.schedule.block_mask()
        self.tables = (cos, sin, mask.bfloat16())
        plain = torch.cat([torch.full((n,), n**-0.5) for n in self.schedule.lengths])
        plain[-sum(self.schedule.lengths[-2:]) :] *= arguments.late
        self.weight = token_weights(self.schedule) if arguments.markov else plain / plain.mean()
        groups, rest = split_parameters(self.generator, is_block_matrix, {"mat_qkv.weight": 3, "mat_kv.weight": 2})
        self.rest = rest
        self.optimisers = [
            Muon(groups, lr=arguments.muon_lr),
            torch.optim.AdamW(rest, lr=arguments.lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.generator)

    def _student(self) -> tuple[Generator, dict]:
        """A new net of the recipe with the teacher's text encoder, or the averaged weights of ``--init``."""
        a = self.arguments
        before = {"step": 0, "images": 0, "minutes": 0.0}
        if a.init:
            start = load_checkpoint(a.init)
            generator = Generator(InfinityConfig(**start["config"]), TextConfig(**start["text_config"]))
            generator.load_state_dict(start["state"])
            return generator, before if a.init == a.teacher else {key: start[key] for key in before}
        config = RECIPES[a.config].transformer
        generator = Generator(config, TextConfig(vocab_size=len(Tokenizer()), d_model=config.text_channels))
        state = load_checkpoint(a.teacher)["state"]
        generator.text.load_state_dict({k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")})
        return generator, before

    def loss(self, index: Tensor, hard: bool) -> Tensor:
        """Cross-entropy by token ``[sum L]`` in nats a bit: to the teacher's probabilities, or to the true bits."""
        pool = self.pool
        ids = pad([pool["ids"][i] for i in index.tolist()])
        target = pool["bits"][index].float() if hard else torch.sigmoid(pool["logits"][index].float())
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.generator(ids, pool["inputs"][index].float(), self.schedule, self.tables, pool["empty"][index])
        return F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none").mean((0, 2))

    def validate(self) -> list[float]:
        """Bits per bit of held-out scenes by scale and overall (their inputs are flipped, so it is above a card's)."""
        parts = [self.loss(torch.arange(i, i + 64), True).detach() for i in range(0, HELD_OUT, 64)]
        each = torch.stack(parts).mean(0) / math.log(2)
        return [round(p.mean().item(), 4) for p in [*each.split(self.schedule.lengths), each]]

    def run(self) -> None:
        a, step, reported = self.arguments, 0, 0.0
        if a.compile:
            compile_elementwise()
        start, count = time.time(), len(self.pool["ids"])
        while (elapsed := time.time() - start) < a.minutes * 60:
            factor = cosine(elapsed / (a.minutes * 60), warmup=0.0) * min(1, (step + 1) / a.warmup)
            for optimiser, rates in zip(self.optimisers, self.rates):
                for group, rate in zip(optimiser.param_groups, rates):
                    group["lr"] = rate * factor
                optimiser.zero_grad(set_to_none=True)
            loss = (self.loss(torch.randint(HELD_OUT, count, (a.batch,)), False) * self.weight).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(self.rest, 1.0)
            for optimiser in self.optimisers:
                optimiser.step()
            step += 1
            if step % 4 == 0:
                self.ema.update(self.generator, min(0.97, 1 - 8 / (step + 20)))
            if step == 10 or elapsed - reported > 90:
                reported = elapsed
                record = {
                    "minutes": round(elapsed / 60, 2), "step": step, "images": step * a.batch,
                    "train": round(loss.item() / math.log(2), 4), "validation": self.validate(),
                }  # fmt: skip
                print(record, flush=True)
                append_json(Path(a.curve), record)
                self.save(step, elapsed)
        with Swapped(self.generator, self.ema.state_dict()):
            print("final averaged weights", self.save(step, a.minutes * 60), "steps", step, flush=True)

    def save(self, step: int, seconds: float) -> list[float]:
        a = self.arguments
        validation = self.validate()
        save_checkpoint(Path(a.out), {
            "config": self.generator.model.config.asdict(), "text_config": vars(self.generator.text.config),
            "state": self.ema.state_dict(), "sides": [h for h, _ in self.schedule.scales],
            "step": self.before["step"] + step, "images": self.before["images"] + step * a.batch,
            "minutes": round(self.before["minutes"] + seconds / 60, 1), "validation": validation, "args": vars(a),
        })  # fmt: skip
        return validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=int, default=0, help="write a pool of so many scenes and stop")
    parser.add_argument("--teacher", default="checkpoints/generator.pt")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--pool", default="checkpoints/pool.pt")
    parser.add_argument("--config", choices=sorted(RECIPES), default="small")
    parser.add_argument("--init", default="", help="start from the averaged weights of this checkpoint")
    parser.add_argument("--markov", action="store_true", help="a scale sees itself only, with HMAR's loss weights")
    parser.add_argument("--late", type=float, default=1.0, help="weight of the last two scales")
    parser.add_argument("--minutes", type=float, default=18)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--muon-lr", type=float, default=6e-3)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--seed", type=int, default=70)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", default="checkpoints/small.pt")
    parser.add_argument("--curve", default="curves/small.jsonl")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    if a.build:
        save_checkpoint(Path(a.pool), build_pool(load_bundle(a.teacher, a.vae), a.build, a.seed + 2, 0.2))
        print(f"wrote {a.pool}")
        return
    Distiller(a).run()


if __name__ == "__main__":
    main()
