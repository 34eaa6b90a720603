"""Train a masked-set mini: noise of masked tokens, each at four noise levels (MAR), or their levels (TokenBridge).

    python -m ttsvar.masked_set.train --minutes 18
    python -m ttsvar.masked_set.train --levels 16 --minutes 18 --out checkpoints/tokenbridge.pt
    python -m ttsvar.masked_set.train --levels 16 --on checkpoints/mar.pt --minutes 10 --out checkpoints/tokenbridge.pt

Mask ratios are normal about 1 (standard deviation .25), cut to [.7, 1]; 10 % of the prompts are dropped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.latent.codes import TokenPool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.trunk import TOKENS, start_from
from ttsvar.masked_set.model import MaskedSet, load, normal_levels, signal

LEVELS = 4


def mask_ratio(size: int) -> Tensor:
    """``[size]``: a truncated normal by drawing again."""
    ratio = 1 + 0.25 * torch.randn(size, 16)
    inside = (ratio >= 0.7) & (ratio <= 1)
    first = inside.float().argmax(1)
    return torch.where(inside.any(1), ratio.gather(1, first[:, None])[:, 0], torch.full((size,), 0.85))


def hidden(size: int, tokens: int = TOKENS) -> Tensor:
    """Which tokens are known, ``[size, tokens]``: after the canvas' share of masked ones."""
    order = torch.rand(size, tokens).argsort(1).argsort(1)
    return (order >= (mask_ratio(size) * tokens).ceil()[:, None]).float()


def level_losses(model: MaskedSet, target: Tensor, vectors: Tensor) -> Tensor:
    """Cross-entropy of the channels' levels by token, nats, mean over channels."""
    table = normal_levels(model.levels).float()
    level = (target[:, model.order, None] - table).abs().argmin(-1)
    numbered = level + torch.arange(model.channels) * model.levels
    start = torch.full((len(level), 1), model.channels * model.levels)
    logits = model.head(torch.cat([start, numbered[:, :-1]], 1), vectors)
    return F.cross_entropy(logits.float().transpose(1, 2), level, reduction="none").mean(1)


def channel_order(tokens: Tensor) -> list[int]:
    """Channels whose variance is mostly of low spatial frequency come first; ``tokens`` ``[N, 64, d]``."""
    canvas = tokens.transpose(1, 2).unflatten(2, (8, 8)).float()
    low = F.avg_pool2d(canvas, 2).var((0, 2, 3)) / canvas.var((0, 2, 3))
    return low.argsort(descending=True).tolist()


def losses(model: MaskedSet, tokens: Tensor, ids: Tensor, known: Tensor, drop: Tensor | None) -> Tensor:
    """Loss by masked token; ``tokens`` ``[N, 64, d]``."""
    vectors = model(tokens[:, None], known[:, None], model.trunk.prompt(ids, drop))[:, 0]
    return head_losses(model, tokens, vectors, known < 0.5)


def head_losses(model: MaskedSet, tokens: Tensor, vectors: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of the noise of wanted tokens, mean over channels; each token at four levels, level by level."""
    if model.levels:
        return level_losses(model, tokens[wanted], vectors[wanted])
    target = tokens[wanted].repeat(LEVELS, 1)
    vector = vectors[wanted].repeat(LEVELS, 1)
    time = torch.rand(len(target)).clamp(min=1e-3)
    noise = torch.randn_like(target)
    kept = signal(time).float()[:, None]
    noisy = kept.sqrt() * target + (1 - kept).sqrt() * noise
    return F.mse_loss(model.head(noisy, time, vector).float(), noise, reduction="none").mean(1)


def stand_on(model: MaskedSet, path: str) -> None:
    """All but the head are another masked set's, and stay."""
    base = {name: value for name, value in load(path)[0].state_dict().items() if not name.startswith("head.")}
    model.load_state_dict(base, strict=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("head."))


def main() -> None:
    p = parser(__doc__, "mar")
    p.add_argument("--levels", type=int, default=0, help="of a categorical head; 0: a diffusion head")
    p.add_argument("--on", default="", help="a trained model whose encoder and decoder stay as they are: only a head is learnt")
    a = p.parse_args()
    prepare(a)
    pool = TokenPool(a.pool)
    order = channel_order(pool.tokens[:2048])
    model = MaskedSet(pool.channels, None, 96 if a.levels else 192, a.levels, order)
    if a.on:
        stand_on(model, a.on)
    else:
        start_from(model.trunk, a.start)
        pool.start_embedding(model.embed, model.trunk)

    def loss() -> Tensor:
        tokens, ids = pool.sample(a.batch)
        return losses(model, tokens, ids, hidden(a.batch), torch.rand(a.batch) < 0.1).mean()

    def validate() -> dict:
        state = torch.get_rng_state()
        torch.manual_seed(1)
        tokens, ids = pool.held_out(128)
        with torch.no_grad(), autocast():
            value = losses(model, tokens, ids, hidden(len(tokens)), None).mean().item()
        torch.set_rng_state(state)
        return {"loss": round(value, 4)}

    fit(model, loss, validate, a, {"channels": pool.channels, "levels": a.levels, "order": order})


if __name__ == "__main__":
    main()
