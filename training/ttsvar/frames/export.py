"""Export FAR or Epona, or a tiny random one with recorded values for the tests.

    python -m ttsvar.frames.export --checkpoint checkpoints/far.pt --out ../zoo/far
    python -m ttsvar.frames.export --tiny ../test/fixtures/models/canvas-tiny/epona
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from ttsvar.frames import worlds
from ttsvar.frames.model import FULL, FULL_PLACES, OUTLINE, OUTLINE_PLACES, FrameFlow, load, to_bins
from ttsvar.frames.sample import remember
from ttsvar.frames.words import MotionTokenizer, write
from ttsvar.infinity.export import digest
from ttsvar.infinity.graphs import export_graph, pair_names
from ttsvar.infinity.model import InfinityConfig
from ttsvar.latent.export import Family, Widen, count, export_family, halve, randomise, recording
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.latent.trunk import TOKENS, Prompt, Trunk
from ttsvar.text.encoder import TextConfig
from ttsvar.world.vocabulary import COLORS


def example(model: FrameFlow, places: Tensor, rows: int = 2) -> dict[str, Tensor]:
    """Inputs of a pass over candidates' frame, without the prompt's."""
    c = model.trunk.body.config
    return {
        "tokens": torch.randn(rows, TOKENS, model.channels), "time": torch.tensor([0.5]), "index": torch.tensor([1]),
        "places": places, **({"pose": torch.zeros(rows, 2, dtype=torch.long)} if model.plan else {}),
        **{name: torch.randn(rows, c.heads, 16, c.head_dim) for name in pair_names("past_", c.depth)},
    }  # fmt: skip


def plan_facts(model: FrameFlow, sampling: dict, out: Path) -> dict:
    """Writes the planner's graph; what the manifest says of plans."""
    x, time, sos = torch.randn(2, 2 * model.frames), torch.tensor([0.5]), torch.randn(1, model.trunk.width)
    axes = {"plan": {0: "B"}, "velocity": {0: "B"}}
    export_graph(model.planner, {"plan": x, "time": time, "sos": sos}, ["velocity"], axes, out / "plan.onnx")
    return {
        "file": "plan.onnx", **digest(out / "plan.onnx"), "flops": count(lambda: model.planner(x[:1], time, sos)),
        "steps": sampling.pop("planSteps"), "grid": {"first": worlds.GRID[0], "step": 8, "places": len(worlds.GRID)},
        "sketch": {
            "road": [168, 178, 192], "size": [16, 10], "paint": {name: list(COLORS[name]) for name in worlds.CARS},
        },
    }  # fmt: skip


def family(model: FrameFlow, narrow: Narrow, sampling: dict, out: Path, **more) -> Family:  # noqa: ANN003
    out.mkdir(parents=True, exist_ok=True)
    halve(model, narrow)
    model.eval()
    depth = model.trunk.body.config.depth
    with torch.no_grad():
        both = model.trunk.both(torch.tensor([[3, 4, 5, 1]]))
    one = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)

    def run(tokens: Tensor, time: Tensor, index: Tensor, places: Tensor, *rest) -> tuple[Tensor, ...]:  # noqa: ANN002
        pose, past = (rest[0], rest[1:-1]) if model.plan else (None, rest[:-1])
        pairs = [(past[i], past[i + 1]) for i in range(0, len(past), 2)]
        velocity, new = model.read(tokens, time, index, places, rest[-1], pose, pairs)
        return velocity, *(t for pair in new for t in pair)

    names = pair_names("new_", depth)
    dynamic = {"velocity": {0: "B", 1: "L"}} | {name: {0: "B", 2: "L"} for name in names}
    dynamic |= {name: {0: "B", 2: "P"} for name in pair_names("past_", depth)}
    dynamic |= {"tokens": {0: "B"}, "pose": {0: "B"}, "places": {0: "L"}}
    nominal = [list(example(model, places, 1).values()) for places in (FULL_PLACES, OUTLINE_PLACES)]
    extra: dict = {
        "frames": model.frames, "patch": {"full": FULL, "outline": OUTLINE},
        "context": {"full": model.short, "outlineFlops": count(lambda: run(*nominal[1], one))},
    }  # fmt: skip
    if model.plan:
        extra["plan"] = plan_facts(model, sampling, out)
    return Family(
        family="frames", trunk=model.trunk, owner=model, run=run, inputs=example(model, FULL_PLACES),
        nominal=nominal[0], output=["velocity", *names], dynamic=dynamic, widen=Widen(narrow), channels=model.channels,
        narrow=None if model.plan else narrow, extra=extra, sampling=sampling, tokenizer=write, **more,
    )  # fmt: skip


def tiny(plan: bool) -> FrameFlow:
    text = TextConfig(vocab_size=len(MotionTokenizer()), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return FrameFlow(4, plan, Trunk(InfinityConfig(2, 32, 2, 16, 32, 8, 2, 8.0), text), 3, 1)


@torch.no_grad()
def golden(model: FrameFlow) -> dict:
    """Velocity of the third frame after two finished ones, the first of them in outline; a plan's velocity."""
    torch.manual_seed(5)
    text = worlds.roads()[1].prompt("red") if model.plan else worlds.moving_prompt("car", "red", "right")
    ids = MotionTokenizer().encode(text)
    both = model.trunk.both(torch.tensor([ids]))
    one = Prompt(both.sos[:1], [(k[:1], v[:1]) for k, v in both.memory], None)
    frames = [torch.randn(1, TOKENS, model.channels) for _ in range(3)]
    plan = torch.randn(1, 2 * model.frames)
    poses = to_bins(plan) if model.plan else None
    past = remember(model, frames[:2], one, poses)
    own = None if poses is None else poses[:, 2]
    velocity = model.step(frames[2], torch.tensor([0.6]), torch.tensor([2]), one, own, past)[0]
    arrays = {"frames": torch.cat(frames).numpy(), "velocity": velocity.numpy()}
    if model.plan:
        arrays |= {
            "plan": plan.numpy(), "poses": poses[0].numpy(),
            "planVelocity": model.planner(plan, torch.tensor([0.6]), one.sos).numpy(),
        }  # fmt: skip
    return {"prompt": text, "ids": ids, "time": 0.6, **recording(arrays)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/far.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--plan-steps", type=int, default=16)
    p.add_argument("--guidance", type=float, default=1.5)
    p.add_argument("--out", type=Path, default=Path("../zoo/far"))
    p.add_argument("--tiny", type=Path)
    a = p.parse_args()
    if a.tiny:
        torch.manual_seed(7)
        model, narrow = tiny(a.tiny.name == "epona"), Narrow(4, 8)
        for module in (model, narrow):
            randomise(module)
        sampling = {"steps": 2, "guidance": 2.0, **({"planSteps": 2} if model.plan else {})}
        export_family(family(model, narrow, sampling, a.tiny, name=f"{a.tiny.name}-tiny"), a.tiny)
        (a.tiny / "golden.json").write_text(json.dumps(golden(model)) + "\n")
        return
    model, info = load(a.checkpoint)
    sampling = {"steps": a.steps, "guidance": a.guidance, **({"planSteps": a.plan_steps} if model.plan else {})}
    training = {k: info[k] for k in ("images", "minutes", "validation")}
    export_family(family(model, load_narrow(a.narrow), sampling, a.out, name=a.out.name, training=training), a.out)


if __name__ == "__main__":
    main()
