"""Train the text-to-image transformer on encoded scenes of the synthetic world.

    python -m ttsvar.infinity.train --steps 6000            # the recipe
    python -m ttsvar.infinity.train --minutes 80            # the same, schedule stretched to a wall-clock budget
    python -m ttsvar.infinity.train --resume --minutes 20   # continue checkpoints/generator-state.pt
    python -m ttsvar.infinity.train --init checkpoints/generator.pt --mix late --steps 1500   # a further cycle
    python -m ttsvar.infinity.train --config small --text-init checkpoints/generator.pt --out checkpoints/small.pt

Bit-wise cross-entropy on all scales at once (block-causal mask), with bitwise self-correction: in 80 % of the images
every bit fed forward is flipped with a probability up to 0.2 and later targets correct the error. 10 % of the prompts
are replaced by ``cfg_uncond`` for classifier-free guidance. Muon for the matrices of the blocks, AdamW for the rest.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.hmar.masked import block_diagonal_mask, token_weights
from ttsvar.infinity import layers, model
from ttsvar.infinity.bits import BitQuantizer, tokens
from ttsvar.infinity.generator import Generator
from ttsvar.infinity.latents import TAG_MIXES, LatentPool
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import Vae
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.world import World, world_config

VALIDATION_SEED = 9_100


@dataclass(frozen=True)
class Recipe:
    """Sizes of a training; ``cpu`` is the embedded model, ``small`` its cheap partner with the same VAE and scales (0.3 of
    the FLOPs: the second net of CoDe, see :mod:`ttsvar.infinity.shrink`), ``gpu`` needs an accelerator and a 128-px VAE."""

    transformer: InfinityConfig
    size: int
    batch: int
    steps: int
    world: str = "narrow"


RECIPES = {
    "cpu": Recipe(InfinityConfig(), 64, 64, 6_000),
    "small": Recipe(InfinityConfig(depth=2, block_chunks=2, mlp_ratio=2.0), 64, 64, 6_000),
    "wide": Recipe(
        InfinityConfig(depth=6, width=192, heads=4, token_channels=16, block_chunks=3), 128, 64, 6_000, "wide"
    ),
    "gpu": Recipe(InfinityConfig(depth=9, width=512, heads=8, text_channels=256, block_chunks=3), 128, 512, 6_000),
}


def compile_elementwise() -> None:
    """Fuse the normalisation, rotation and gating of the blocks (about 1.3x on CPU)."""
    import torch._inductor.config

    torch._inductor.config.cpp.dynamic_threads = True
    for name in ("modulated_norm", "normalise_and_rotate", "gated_add"):
        setattr(layers, name, torch.compile(getattr(layers, name), dynamic=False))
    model.modulated_norm = layers.modulated_norm


def is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 2 and "block_chunks" in name


class Trainer:
    def __init__(self, arguments: argparse.Namespace):
        self.arguments = arguments
        recipe = RECIPES[arguments.config]
        self.batch = arguments.batch or recipe.batch
        self.steps = arguments.steps or recipe.steps
        self.device = torch.device(arguments.device)
        vae, self.quantizer = (part.to(self.device) for part in load_vae(arguments.vae))
        sides = [h for h, _ in self.quantizer.grids]
        self.schedule = Schedule.square(sides)
        text = TextConfig(vocab_size=len(Tokenizer()), d_model=recipe.transformer.text_channels)
        self.generator = self.build(recipe.transformer, text).to(self.device)
        cos, sin = self.schedule.rope_all(recipe.transformer.head_dim)
        mask = block_diagonal_mask(self.schedule) if arguments.markov else self.schedule.block_mask()
        self.tables = tuple(t.to(self.device) for t in (cos, sin, mask.bfloat16()))
        self.cut = self.schedule.cut(arguments.cut or len(sides))
        weight = torch.cat([torch.full((n,), n**-0.5) for n in self.schedule.lengths])
        weight = token_weights(self.schedule) if arguments.markov else weight / weight.mean()
        self.weight = weight.to(self.device)
        groups, rest = split_parameters(self.generator, is_block_matrix, {"mat_qkv.weight": 3, "mat_kv.weight": 2})
        self.rest = rest
        self.optimisers = [
            Muon(groups, lr=arguments.muon_lr),
            torch.optim.AdamW(rest, lr=arguments.lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.base_rates = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.generator)
        self.step, self.spent = 0, 0.0
        # What the weights that training starts from have already seen.
        self.before = {"step": 0, "images": 0, "minutes": 0.0}
        if arguments.init:
            start = load_checkpoint(arguments.init)
            self.generator.load_state_dict(self.initial(start["state"]))
            self.before |= {key: start[key] for key in self.before}
            self.ema = Ema(self.generator)
        if arguments.text_init:
            state = load_checkpoint(arguments.text_init)["state"]
            prefix = "text."
            text = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            self.generator.text.load_state_dict(text)
            self.ema = Ema(self.generator)
        if arguments.resume:
            self._resume()
        world = World(world_config(recipe.size, recipe.world), arguments.seed + 2)
        held_out = World(world_config(recipe.size, recipe.world), VALIDATION_SEED)
        start = self.step // 4 + arguments.pool_start // 128 if arguments.resume else 0
        self.pool, held_out = self.pools(vae, world, held_out, start)
        torch.manual_seed(1)
        self.validation = [self._sample(held_out, 64) for _ in range(4)]
        torch.manual_seed(arguments.seed)

    def build(self, transformer: InfinityConfig, text: TextConfig) -> Generator:
        return Generator(transformer, text)

    def initial(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of ``--init``, as this model takes them."""
        return state

    def pools(self, vae: Vae, world: World, held_out: World, start: int):  # noqa: ANN201
        """What is trained on, and what is validated on."""
        validation = LatentPool(vae, held_out, 256)
        while not validation.full:
            validation.grow()
        pool = LatentPool(vae, world, self.arguments.pool, start=start, shares=TAG_MIXES[self.arguments.mix])
        return pool, validation

    def _sample(self, pool: LatentPool, size: int) -> tuple[Tensor, ...]:
        """Latents and ids of ``size`` scenes, on the device."""
        return tuple(t.to(self.device) for t in pool.sample(size))

    def targets(self, latent: Tensor, correct: bool) -> tuple[Tensor, Tensor]:
        """Inputs ``[N, sum L - 1, d]`` and target bits ``[N, sum L, d]`` of a batch of latents."""
        flip = None
        if correct:
            a = self.arguments
            most = torch.full((len(self.schedule.scales), 1), a.flip)
            most[: len(a.first_flip), 0] = torch.tensor(a.first_flip)
            flip = torch.rand(len(most), len(latent)) if a.first_flip else torch.rand(len(latent))
            flip = (flip * most * (torch.rand(len(latent)) < 0.8)).to(self.device)
        encoded = self.quantizer.encode(latent, flip=flip)
        return torch.cat(encoded.inputs, 1), torch.cat([tokens(b) for b in encoded.bits], 1).float()

    def losses(self, latent: Tensor, ids: Tensor, training: bool, schedule: Schedule) -> Tensor:
        """Cross-entropy per token of a schedule or its beginning, ``[sum L]``, in nats per bit."""
        inputs, bits = self.targets(latent, training)
        length = sum(schedule.lengths)
        inputs, bits = inputs[:, : length - 1], bits[:, :length]
        cos, sin, mask = self.tables
        tables = (cos[:length], sin[:length], mask[:length, :length])
        drop = (torch.rand(len(ids)) < 0.1).to(self.device) if training else None
        with torch.autocast(self.device.type, torch.bfloat16):
            delta = self.generator(ids, inputs, schedule, tables, drop)
        return F.binary_cross_entropy_with_logits(delta.float(), bits, reduction="none").mean((0, 2))

    def validate(self) -> list[float]:
        """Bits per bit by scale and overall; gradients stay enabled so that compiled kernels are reused."""
        loss = torch.stack([self.losses(z, ids, False, self.schedule).detach() for z, ids in self.validation]).mean(0) / math.log(2)
        parts = [p.mean().item() for p in loss.split(self.schedule.lengths)]
        return [round(x, 4) for x in [*parts, loss.mean().item()]]

    def optimise(self, factor: float) -> float:
        for optimiser, rates in zip(self.optimisers, self.base_rates):
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        # Nearly all of a long schedule's cost is its last scales, nearly all that a text decides is before them.
        schedule = self.cut if torch.rand(()) < self.arguments.cut_share else self.schedule
        losses = self.losses(*self._sample(self.pool, self.batch), True, schedule)
        loss = (losses * self.weight[: len(losses)]).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        if self.step % 4 == 0:
            self.ema.update(self.generator, min(self.arguments.ema, 1 - 8 / (self.step + 20)))
            self.pool.grow()
        return loss.item() / math.log(2)

    def save(self, curve: list[float]) -> None:
        path = Path(self.arguments.out)
        config = self.generator.model.config.asdict()
        save_checkpoint(path, {
            "config": config, "text_config": vars(self.generator.text.config), "state": self.ema.state_dict(),
            "sides": [h for h, _ in self.schedule.scales], "step": self.before["step"] + self.step,
            "images": self.before["images"] + self.step * self.batch,
            "minutes": round(self.before["minutes"] + self.spent / 60, 1),
            "validation": curve, "args": vars(self.arguments),
        })  # fmt: skip
        save_checkpoint(path.with_name(path.stem + "-state.pt"), {
            "generator": self.generator.state_dict(), "ema": self.ema.state_dict(), "step": self.step,
            "before": self.before, "spent": self.spent, "optimisers": [o.state_dict() for o in self.optimisers],
        })  # fmt: skip

    def _resume(self) -> None:
        path = Path(self.arguments.out)
        state = load_checkpoint(path.with_name(path.stem + "-state.pt"))
        self.generator.load_state_dict(state["generator"])
        self.ema.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.step, self.spent, self.before = state["step"], state["spent"], state["before"]
        print(f"resumed at step {self.step} after {self.spent / 60:.1f} min", flush=True)

    def _follow_threads(self) -> None:
        """Adopt the number in ``--threads-file``, so that a shared machine can be divided while training runs."""
        path = Path(self.arguments.threads_file)
        if path.is_file() and (wanted := int(path.read_text() or 0)) > 0 and wanted != torch.get_num_threads():
            torch.set_num_threads(wanted)
            print(f"threads: {wanted}", flush=True)

    def run(self) -> None:
        arguments = self.arguments
        while self.pool.count < arguments.pool_start:
            self.pool.grow()
        if arguments.compile:
            compile_elementwise()
        budget = arguments.minutes * 60
        before, start, first = self.spent, time.time(), self.step
        reported = saved = 0.0
        running = None
        while True:
            elapsed = time.time() - start
            self.spent = before + elapsed
            progress = self.spent / budget if budget else self.step / self.steps
            if progress >= 1 or self.step == (arguments.stop or -1):
                break
            if self.step % 20 == 0:
                self._follow_threads()
            # Ramped up by steps: compiling may take up the whole of a warm-up that is measured in time.
            loss = self.optimise(cosine(progress, warmup=0.0) * min(1, (self.step - first + 1) / arguments.warmup))
            running = loss if running is None else 0.97 * running + 0.03 * loss
            if self.step - first in (10, 50) or elapsed - reported > 60:
                reported = elapsed
                record = {
                    "minutes": round(self.spent / 60, 2), "step": self.step, "images": self.step * self.batch,
                    "images_per_second": round((self.step - first) * self.batch / (time.time() - start), 1),
                    "train": round(running, 4), "validation": self.validate(), "pool": self.pool.count,
                }  # fmt: skip
                print(record, flush=True)
                append_json(Path(arguments.curve), record)
            if elapsed - saved > arguments.save_minutes * 60:
                saved = elapsed
                with Swapped(self.generator, self.ema.state_dict()):
                    averaged = self.validate()
                print("averaged weights", averaged, flush=True)
                self.save(averaged)
        with Swapped(self.generator, self.ema.state_dict()):
            averaged = self.validate()
        print("final averaged weights", averaged, "steps", self.step, flush=True)
        self.save(averaged)


def run(
    trainer: type[Trainer], about: str | None, out: str = "checkpoints/generator.pt", curve: str = "curves/generator.jsonl"
) -> None:
    """The command line of a trainer of this kind."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=sorted(RECIPES), default="cpu")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--stop", type=int, default=0, help="end after so many steps, for another --resume")
    parser.add_argument("--minutes", type=float, default=0, help="wall-clock schedule instead of --steps")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--muon-lr", type=float, default=6e-3)
    parser.add_argument("--ema", type=float, default=0.97, help="decay of the averaged weights, every 4 steps")
    parser.add_argument("--mix", choices=sorted(TAG_MIXES), default="even", help="shares of the six kinds of prompts")
    parser.add_argument("--warmup", type=int, default=100, help="steps until the full learning rate")
    parser.add_argument("--flip", type=float, default=0.2)
    parser.add_argument(
        "--first-flip", type=float, nargs="*", default=[],
        help="other --flip for each of the first scales, up to 0.5: what is wrong there the next ones must ask the text",
    )
    parser.add_argument("--cut", type=int, default=0, help="scales of a cut sequence; 0: all")
    parser.add_argument("--cut-share", type=float, default=0.0, help="share of the batches that are cut")
    parser.add_argument("--pool", type=int, default=220_000, help="most latents kept in memory")
    parser.add_argument("--pool-start", type=int, default=8_192, help="latents encoded before the first step")
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--threads-file", default="checkpoints/threads")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--init", default="", help="start from the averaged weights of this checkpoint")
    parser.add_argument("--text-init", default="", help="start the text encoder from the one of this checkpoint")
    parser.add_argument("--markov", action="store_true", help="no history and HMAR's loss weights: a scale sees itself only")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--vae", default="checkpoints/vae.pt")
    parser.add_argument("--out", default=out)
    parser.add_argument("--curve", default=curve)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    trainer(arguments).run()


def main() -> None:
    run(Trainer, __doc__)


if __name__ == "__main__":
    main()
