"""The training loop that all canvas families share: Muon and AdamW, averaged weights, schedules by time or steps."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.muon import Muon, split_parameters
from ttsvar.common.training import Ema, Swapped, append_json, cosine, load_checkpoint, save_checkpoint
from ttsvar.latent.rounded import rounded, stored
from ttsvar.latent.trunk import STACKED, is_block_matrix

HELD_OUT = 512


def parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Options of every family's trainer."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--steps", type=int, default=2_000)
    p.add_argument("--minutes", type=float, default=0, help="schedule by processor time of a thread, instead of --steps")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--muon-lr", type=float, default=3e-3)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--save-minutes", type=float, default=4)
    p.add_argument("--start", default="checkpoints/generator.pt", help="weights of the blocks and the text encoder: the generator's, or another family's")
    p.add_argument("--compile", action="store_true", help="compile the blocks: a third more images a second, a minute to start")
    p.add_argument("--bits", type=int, choices=(32, 4), default=32, help="4: learn with weights as the zoo stores them")
    p.add_argument("--init", default="", help="go on from this family's own checkpoint, in a further cycle")
    p.add_argument("--pool", default="checkpoints/pool.pt")
    p.add_argument("--out", default=f"checkpoints/{name}.pt")
    p.add_argument("--curve", default=f"curves/{name}.jsonl")
    return p


def prepare(a: argparse.Namespace) -> None:
    """Seed, threads, and the device on which everything is made from here on."""
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    torch.set_default_device(a.device)


def autocast() -> torch.autocast:
    return torch.autocast(torch.get_default_device().type, torch.bfloat16)


def before(a: argparse.Namespace) -> dict:
    """What an earlier cycle left, or nothing."""
    return load_checkpoint(a.init) if a.init and Path(a.init).exists() else {"images": 0, "minutes": 0.0}


def fit(model: nn.Module, loss: Callable[[], Tensor], validate: Callable[[], dict], a: argparse.Namespace, facts: dict) -> None:
    """Train until the schedule ends; the checkpoint holds averaged weights and is written every few minutes."""
    seen = before(a)
    if "state" in seen:
        model.load_state_dict(seen["state"])
    model.train()
    if a.compile:
        model.trunk.blocks = torch.compile(model.trunk.blocks)
        model.trunk.prompt = torch.compile(model.trunk.prompt)
    groups, rest = split_parameters(model, is_block_matrix, STACKED)
    optimisers = [*([Muon(groups, lr=a.muon_lr)] if groups else []), torch.optim.AdamW(rest, lr=a.lr, betas=(0.9, 0.95), weight_decay=0.0)]
    rates = [[group["lr"] for group in o.param_groups] for o in optimisers]
    ema, start, step = Ema(model), time.process_time(), 0
    reported = saved = 0.0
    running = None

    as_stored = stored(model.trunk) if a.bits == 4 else []

    def save() -> dict:
        with Swapped(model, ema.state_dict()), rounded(as_stored):
            quality = validate()
        save_checkpoint(Path(a.out), {
            **facts, "state": ema.state_dict(), "images": seen["images"] + step * a.batch,
            "minutes": seen["minutes"] + (time.process_time() - start) / a.threads / 60, "validation": quality,
        })  # fmt: skip
        return quality

    while True:
        # Work counts, not waiting: a schedule survives a machine that others use.
        elapsed = (time.process_time() - start) / a.threads
        progress = elapsed / (60 * a.minutes) if a.minutes else step / a.steps
        if progress >= 1:
            break
        factor = cosine(progress, warmup=0.0) * min(1, (step + 1) / 40)
        for optimiser, base in zip(optimisers, rates):
            for group, rate in zip(optimiser.param_groups, base):
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        with rounded(as_stored):
            with autocast():
                value = loss()
            value.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        running = value.item() if running is None else 0.95 * running + 0.05 * value.item()
        if step % 4 == 0:
            ema.update(model, min(0.97, 1 - 8 / (step + 20)))
        if step in (5, 25) or elapsed - reported > 60:
            reported = elapsed
            record = {
                "minutes": round(elapsed / 60, 2), "step": step, "images": step * a.batch,
                "images_per_second": round(step * a.batch / max(elapsed, 1e-9), 1), "train": round(running, 4),
            }  # fmt: skip
            print(record, flush=True)
            append_json(Path(a.curve), record)
        if elapsed - saved > 60 * a.save_minutes:
            saved = elapsed
            print("averaged", save(), flush=True)
    print("final", save(), "steps", step, flush=True)
