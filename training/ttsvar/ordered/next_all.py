"""TokenUnify's next-all head as a look-ahead for ordered groups: does it make early looks at NAR tell more?

    python -m ttsvar.ordered.next_all --checkpoint checkpoints/nar.pt --out ../results/families-extra/next-all.json

The trunk stays as it is. A small net reads the mean of its states over the latest diagonal and says which latent to expect at
every later position. A look fills what is not drawn with that; its reward's correlation with the final reward, within
prompts, is compared with that of a look at what is there. Rewards are cosines of the embedded dual encoder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.training import cosine
from ttsvar.latent.codes import CodePool
from ttsvar.latent.judge import render
from ttsvar.latent.model import Codebook, load_codebook
from ttsvar.latent.trunk import TOKENS, Prompt
from ttsvar.ordered.model import Ordered, causal, load, sequence
from ttsvar.ordered.sample import sample
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.infinity.evaluate import PROMPT_SEED
from ttsvar.infinity.generator import pad
from ttsvar.verifiers.dual_encoder.runtime import DualEncoderOnnx
from ttsvar.world import geneval_prompts

WIDTH = 256


class NextAll(nn.Module):
    """Expected latents ``[N, S, 64, d]`` from states after every diagonal, averaged over it, ``[N, S, C]``."""

    def __init__(self, source: int, channels: int):
        super().__init__()
        self.state, self.place = nn.Linear(source, WIDTH), nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, channels))

    def forward(self, states: Tensor) -> Tensor:
        return self.mlp(self.state(states)[:, :, None] + self.place)


@torch.no_grad()
def states_of(model: Ordered, codes: Tensor, prompt: Prompt) -> Tensor:
    """States of the first head's trunk, averaged over each diagonal, for codes ``[N, 64]``: ``[N, 15, C]``."""
    order, group = sequence(model.grouping)
    fed = torch.cat([torch.full((len(codes), 1), model.entries), codes[:, order]], 1)
    x = model.embed(fed[:, None]) + model.trunk.level
    x = torch.cat([x[:, :, :1] + prompt.sos[:, None, None], x[:, :, 1:]], 2)
    depth = len(model.trunk.body.blocks)
    x, vector = model.trunk.blocks(x, prompt, model.rope(), causal(group), None, 0, depth - 1 if model.two else depth)
    states = model.trunk.output(x, vector)[:, 0, 1:]
    own = F.one_hot(group).float()
    return own.T @ states.float() / own.sum(0)[:, None]


def by_position(grouping: str) -> Tensor:
    """The group of each position, row-major."""
    order, group = sequence(grouping)
    return group[order.argsort()]


def train(model: Ordered, pool: CodePool, book: Codebook, minutes: float, batch: int) -> tuple[NextAll, dict]:
    group = by_position(model.grouping)
    head = NextAll(model.trunk.width, book.entries.shape[1])
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.01)
    later = (group[None] > torch.arange(int(group.max()) + 1)[:, None]).float()[None, :, :, None]

    def errors(codes: Tensor, ids: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            states = states_of(model, codes, model.trunk.prompt(ids))
        return (head(states) - book.entries[codes][:, None]).pow(2) * later

    start, step = time.time(), 0
    while (progress := (time.time() - start) / (60 * minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * cosine(progress)
        loss = errors(*pool.sample(batch)).sum() / (later.sum() * batch * book.entries.shape[1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
    codes, ids = pool.held_out(128)
    with torch.no_grad():
        share = errors(codes, ids).sum((0, 2, 3)) / (later.sum((0, 2, 3)) * 128 * book.entries.shape[1]).clamp(min=1)
    variance = float(book.entries[pool.codes[:2048]].var((0, 1)).mean())
    return head, {"steps": step, "error": [round(float(x) / variance, 3) for x in share[:-1]]}


def correlation(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Within rows ``[prompts, candidates]``; rows without spread count 0."""
    a, b = (x - x.mean(1, keepdims=True) for x in (first, last))
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.where(norm > 1e-12, (a * b).sum(1) / np.maximum(norm, 1e-12), 0.0)


def interval(values: np.ndarray, rounds: int = 2000) -> list[float]:
    rng = np.random.Generator(np.random.Philox(key=[17, 0]))
    means = values[rng.integers(len(values), size=(rounds, len(values)))].mean(1)
    return [round(float(x), 3) for x in (values.mean(), *np.quantile(means, (0.025, 0.975)))]


@torch.no_grad()
def measure(model: Ordered, head: NextAll, book: Codebook, a: argparse.Namespace) -> list[dict]:
    metas, encoder = geneval_prompts(a.per_tag, PROMPT_SEED), DualEncoderOnnx(a.encoder, a.threads)
    prompts = [m["prompt"] for m in metas]
    codes = torch.cat([
        sample(model, prompts[i : i + 6], a.candidates, 2.0, 0.7, i) for i in range(0, len(prompts), 6)
    ])  # fmt: skip
    group = by_position(model.grouping)
    texts = encoder.texts(prompts)

    def rewards(vectors: Tensor) -> np.ndarray:
        canvas = vectors.flatten(0, 1).transpose(1, 2).unflatten(2, (8, 8))
        images = encoder.images(render(book.widen(canvas)))
        return (images.reshape(len(prompts), a.candidates, -1) * texts[:, None]).sum(-1)

    drawn = book.entries[codes]
    last, rows = rewards(drawn), []
    ids = pad([Tokenizer().encode(p) for p in prompts]).repeat_interleave(a.candidates, 0)
    with torch.autocast("cpu", torch.bfloat16):
        states = torch.cat([
            states_of(model, c, model.trunk.prompt(i)) for c, i in zip(codes.flatten(0, 1).split(48), ids.split(48))
        ])  # fmt: skip
    guess = head(states).unflatten(0, codes.shape[:2])
    for stage in a.stages:
        known = (group <= stage).float()[:, None]
        looks = {"now": drawn * known, "ahead": drawn * known + guess[:, :, stage] * (1 - known)}
        found = {name: correlation(rewards(vectors), last) for name, vectors in looks.items()}
        rows.append({
            "stage": stage + 1, "coverage": round(float(known.mean()), 3),
            **{name: interval(values) for name, values in found.items()},
            "gain": interval(found["ahead"] - found["now"]),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/nar.pt")
    p.add_argument("--codebook", default="checkpoints/codebook.pt")
    p.add_argument("--pool", default="checkpoints/pool.pt")
    p.add_argument("--encoder", default="../models/dual-encoder")
    p.add_argument("--minutes", type=float, default=4)
    p.add_argument("--batch", type=int, default=24)
    p.add_argument("--per-tag", type=int, default=8)
    p.add_argument("--candidates", type=int, default=8)
    p.add_argument("--stages", type=int, nargs="+", default=[4, 6, 8, 10], help="diagonals that are done, less one")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path)
    a = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    pool, book = CodePool(a.pool, a.codebook), load_codebook(a.codebook)
    head, trained = train(model, pool, book, a.minutes, a.batch)
    print(json.dumps(trained), flush=True)
    rows = measure(model, head, book, a)
    record = {
        "generator": {"images": info["images"], "validation": info["validation"]}, "head": trained, "prompts": 6 * a.per_tag,
        "candidates": a.candidates, "rows": rows,
    }  # fmt: skip
    if a.out:
        a.out.parent.mkdir(parents=True, exist_ok=True)
        a.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
