"""Train the verification head over a MAR that stays as it is: right and wrong questions about training scenes.

    python -m ttsvar.masked_set.train_verify --minutes 9

The encoder reads every scene once, since it does not change. Tokens get a little noise, since drawn pictures are never as clean
as scenes.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.common.training import Ema, Swapped, append_json, cosine, save_checkpoint
from ttsvar.infinity.generator import pad
from ttsvar.latent.codes import TokenPool
from ttsvar.latent.fit import HELD_OUT, autocast, parser, prepare
from ttsvar.masked_set.model import load
from ttsvar.masked_set.questions import KINDS, ask
from ttsvar.masked_set.verify import Verifier
from ttsvar.text.tokenizer import Tokenizer

QUESTIONS = 6
NOISE = 0.3


def draw(ids: Tensor, rng: random.Random) -> tuple[Tensor, Tensor, list[str]]:
    """Padded questions ``[N, Q, T]``, answers ``[N, Q]`` and kinds for captions ``[N, T]``."""
    asked = [ask(row, rng) for row in ids.tolist() for _ in range(QUESTIONS)]
    questions = pad([[*words, Tokenizer.eos_id] for words, _, _ in asked]).unflatten(0, (-1, QUESTIONS))
    answers = torch.tensor([float(yes) for _, yes, _ in asked]).view(-1, QUESTIONS)
    return questions, answers, [kind for _, _, kind in asked]


@torch.no_grad()
def read(model: Verifier, tokens: Tensor) -> Tensor:
    """What the encoder makes of noisy tokens, ``[N, 64, C]`` in half precision."""
    noisy = tokens + NOISE * torch.rand(len(tokens), 1, 1) * torch.randn_like(tokens)
    with autocast():
        return torch.cat([model.features(part).bfloat16() for part in noisy.split(128)])


@torch.no_grad()
def validate(model: Verifier, pool: TokenPool) -> dict:
    """Share of right answers by kind, over held-out scenes."""
    tokens, ids = pool.held_out(HELD_OUT)
    questions, answers, kinds = draw(ids, random.Random(1))
    parts = [model(t, q) for t, q in zip(tokens.split(64), questions.split(64))]
    right = ((torch.cat(parts) > 0) == (answers > 0.5)).flatten()
    by_kind = {kind: right[torch.tensor([k == kind for k in kinds])] for kind in KINDS}
    return {kind: round(found.float().mean().item(), 3) for kind, found in by_kind.items()}


def main() -> None:
    p = parser(__doc__, "harmon")
    p.add_argument("--scenes", type=int, default=10_240)
    p.add_argument("--mar", default="checkpoints/mar.pt")
    p.set_defaults(batch=64, lr=1.5e-3, steps=4000)
    a = p.parse_args()
    prepare(a)
    pool, rng = TokenPool(a.pool), random.Random(a.seed)
    model = Verifier(load(a.mar)[0])
    scenes, ids = pool.sample(a.scenes)
    features = read(model, scenes)
    own = [q for q in model.parameters() if q.requires_grad]
    optimiser = torch.optim.AdamW(own, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.01)
    ema, start, step, reported = Ema(model), time.process_time(), 0, 0.0
    running = 0.69
    while True:
        elapsed = (time.process_time() - start) / a.threads
        progress = elapsed / (60 * a.minutes) if a.minutes else step / a.steps
        if progress >= 1:
            break
        optimiser.param_groups[0]["lr"] = a.lr * cosine(progress, warmup=0.02)
        chosen = torch.randint(0, a.scenes, (a.batch,))
        questions, answers, _ = draw(ids[chosen], rng)
        with autocast():
            logits = model.answers(features[chosen], questions)
        loss = F.binary_cross_entropy_with_logits(logits.float(), answers)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        running = 0.98 * running + 0.02 * loss.item()
        if step % 4 == 0:
            ema.update(model, min(0.98, 1 - 8 / (step + 20)))
        if elapsed - reported > 60 or step in (10, 100):
            reported = elapsed
            record = {"minutes": round(elapsed / 60, 2), "step": step, "train": round(running, 4)}
            print(record, flush=True)
            append_json(Path(a.curve), record)
    with Swapped(model, ema.state_dict()):
        quality = validate(model, pool)
        minutes = (time.process_time() - start) / a.threads / 60
        save_checkpoint(Path(a.out), {"state": {k: v.clone() for k, v in model.own().items()}, "images": step * a.batch, "minutes": minutes, "validation": quality})
    print("final", quality, "steps", step, flush=True)


if __name__ == "__main__":
    main()
