"""Export a mini of flow by cells, or a tiny random one with recorded values for the tests.

    python -m ttsvar.block_flow.export --checkpoint checkpoints/xar.pt --out ../zoo/xar
    python -m ttsvar.block_flow.export --tiny ../test/fixtures/models/canvas-tiny/xar
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.block_flow.model import CELL, BlockFlow, load
from ttsvar.block_flow.sample import solver_step
from ttsvar.infinity.graphs import pair_names
from ttsvar.latent.export import PROMPT, Family, Widen, export_family, halve, randomise, recording, tiny_trunk
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.text.tokenizer import Tokenizer

SIZE = CELL * CELL


def family(model: BlockFlow, narrow: Narrow, sampling: dict, out: Path, **more) -> Family:  # noqa: ANN003
    out.mkdir(parents=True, exist_ok=True)
    halve(model, narrow)
    c = model.trunk.body.config
    cos, sin = model.rope()

    def run(tokens: Tensor, time: Tensor, places: Tensor, *rest) -> tuple[Tensor, ...]:  # noqa: ANN002
        past, prompt = rest[:-1], rest[-1]
        pairs = [(past[i], past[i + 1]) for i in range(0, len(past), 2)]
        tables = cos.index_select(0, places), sin.index_select(0, places)
        velocity, new = model.step(tokens[None], time, prompt, tables, pairs)
        return velocity[0], *(t for pair in new for t in pair)

    names = pair_names("past_", c.depth)
    past = {name: torch.randn(2, c.heads, SIZE, c.head_dim) for name in names}
    axes = {name: {0: "B", 2: "P"} for name in names} | {name: {0: "B"} for name in pair_names("new_", c.depth)}
    return Family(
        family="block-flow", trunk=model.trunk, owner=model, run=run,
        inputs={
            "tokens": torch.randn(2, SIZE, model.channels), "time": torch.tensor([0.5]),
            "places": torch.arange(SIZE), **past,
        },
        nominal=[torch.randn(1, SIZE, model.channels), torch.tensor([0.5]), torch.arange(SIZE), *(v[:1] for v in past.values())],
        output=["velocity", *pair_names("new_", c.depth)],
        dynamic={"tokens": {0: "B"}, "velocity": {0: "B"}, **axes}, widen=Widen(narrow), channels=model.channels,
        narrow=narrow, extra={"cell": CELL, "context": model.context}, sampling=sampling, **more,
    )  # fmt: skip


@torch.no_grad()
def golden(model: BlockFlow) -> dict:
    """Velocities of a second cell after a first one, and both kinds of step."""
    torch.manual_seed(5)
    ids = Tokenizer().encode(PROMPT)
    both = model.trunk.both(torch.tensor([ids]))
    text = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    cos, sin = model.rope()
    first, second = torch.randn(1, SIZE, model.channels), torch.randn(1, SIZE, model.channels)
    _, past = model.step(first[None], torch.tensor([0.0]), text, (cos[:SIZE], sin[:SIZE]), [])
    tables = cos[SIZE : 2 * SIZE], sin[SIZE : 2 * SIZE]
    velocity = model.step(second[None], torch.tensor([0.6]), text, tables, past)[0][0]
    fresh = torch.randn(second.shape)
    x, v, f = second.double(), velocity.double(), fresh.double()
    return {
        "prompt": PROMPT, "ids": ids, "time": 0.6, "target": 0.5,
        **recording({
            "first": first.numpy(), "second": second.numpy(), "velocity": velocity.numpy(), "fresh": fresh.numpy(),
            "stochastic": solver_step(x, v, 0.6, 0.5, f).numpy(), "plain": solver_step(x, v, 0.6, 0.5, None).numpy(),
        }),
    }  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/xar.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=2.7)
    p.add_argument("--out", type=Path, default=Path("../zoo/xar"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        torch.manual_seed(7)
        model, narrow = BlockFlow(4, "noisy", tiny_trunk()), Narrow(4, 8)
        for module in (model, narrow):
            randomise(module)
        sampling = {"steps": 3, "guidance": 2.0, "guidanceSchedule": "ramp", "solver": "sde"}
        export_family(family(model, narrow, sampling, a.tiny, name="xar-tiny"), a.tiny)
        (a.tiny / "golden.json").write_text(json.dumps(golden(model)) + "\n")
        return
    model, info = load(a.checkpoint)
    clean = model.context == "clean"
    sampling = {
        "steps": a.steps, "guidance": a.guidance, "guidanceSchedule": "constant" if clean else "ramp",
        "solver": "ode" if clean else "sde",
    }  # fmt: skip
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    chosen = family(model, load_narrow(a.narrow), sampling, a.out, name=a.out.name, training=training)
    export_family(chosen, a.out)


if __name__ == "__main__":
    main()
