"""Train clips frame by frame: FAR on the moving world, Epona on the driving world.

    python -m ttsvar.frames.train far --minutes 18
    python -m ttsvar.frames.train epona --minutes 18

``x_t = (1 - t) x + t e``; squared error of the velocity ``e - x``; times logit-normal, one for each frame. A part of the
frames is clean under the tag of finished ones, which is what every frame of the context is when drawing. 10 % of the
prompts are dropped. Epona's plan is a flow of its own with the same times and loss, trained beside the frames.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.common.training import load_checkpoint
from ttsvar.frames.model import FRAMES, SHORT, FrameFlow, to_bins, to_unit
from ttsvar.frames.pool import ClipPool
from ttsvar.latent.fit import autocast, fit, parser, prepare
from ttsvar.latent.trunk import Trunk

WORLDS = {"far": "moving", "epona": "driving"}
#: How often a window of frames starts after so many older ones: the first frame is the hardest, and only in the first.
FIRST = (0.5, 0.25, 0.25)


def start_text(trunk: Trunk, path: str) -> None:
    """The embedded generator's text encoder; new words keep their random start."""
    state = load_checkpoint(path)["state"]
    own = trunk.text.state_dict()
    for name, value in state.items():
        key = name.removeprefix("text.")
        if name.startswith("text.") and key in own:
            own[key][tuple(slice(0, n) for n in value.shape)] = value
    trunk.text.load_state_dict(own)


def losses(model: FrameFlow, tokens: Tensor, ids: Tensor, plans: Tensor | None, clean_share: float, first: int, drop) -> Tensor:  # noqa: ANN001
    """Mean squared error of frames that are not clean, plus that of the plan."""
    n, last = len(tokens), first + SHORT + 1
    prompt = model.trunk.prompt(ids, drop)
    time = torch.randn(n, SHORT + 1).sigmoid()
    clean = torch.rand(n, SHORT + 1) < clean_share
    clean[:, -1] = False
    window = tokens[:, first:last]
    noise = torch.randn_like(window)
    t = torch.where(clean, 0.0, time)[..., None, None]
    noisy = torch.cat([tokens[:, :first], (1 - t) * window + t * noise], 1)
    poses = None if plans is None else to_bins(to_unit(plans))
    velocity = model(noisy, time, clean, prompt, first, poses).float()
    error = F.mse_loss(velocity, noise - window, reduction="none").mean((2, 3))
    loss = (error * ~clean).sum() / (~clean).sum()
    return loss if plans is None else loss + plan_loss(model, plans, prompt.sos)


def plan_loss(model: FrameFlow, plans: Tensor, sos: Tensor) -> Tensor:
    x = to_unit(plans)
    time, noise = torch.randn(len(x)).sigmoid(), torch.randn_like(x)
    velocity = model.planner((1 - time[:, None]) * x + time[:, None] * noise, time, sos).float()
    return F.mse_loss(velocity, noise - x)


def main() -> None:
    p = parser(__doc__, "far")
    p.add_argument("system", choices=tuple(WORLDS))
    p.add_argument("--clean", type=float, default=0.4, help="share of context frames that are clean")
    p.set_defaults(out="", curve="", lr=2e-3, muon_lr=5e-3)
    a = p.parse_args()
    a.out, a.curve = a.out or f"checkpoints/{a.system}.pt", a.curve or f"curves/{a.system}.jsonl"
    prepare(a)
    rng = np.random.default_rng(a.seed)
    pool = ClipPool(WORLDS[a.system])
    model = FrameFlow(pool.channels, a.system == "epona")
    start_text(model.trunk, a.start)

    def loss() -> Tensor:
        tokens, ids, plans = pool.sample(a.batch, rng)
        first = int(rng.choice(FRAMES - SHORT, p=FIRST))
        return losses(model, tokens, ids, plans, a.clean, first, torch.rand(a.batch) < 0.1)

    def validate() -> dict:
        state, fixed = torch.get_rng_state(), np.random.default_rng(1)
        torch.manual_seed(1)
        result = {}
        with torch.no_grad(), autocast():
            for name in ("seen", "unseen") if pool.world == "moving" else ("loss",):
                clip = pool.sample(128, fixed, name == "unseen")
                values = [losses(model, *clip, 1.0, first, None).item() for first in range(FRAMES - SHORT)]
                result[name] = round(sum(values) / len(values), 4)
        torch.set_rng_state(state)
        return result

    fit(model, loss, validate, a, {"channels": pool.channels, "plan": model.plan})


if __name__ == "__main__":
    main()
