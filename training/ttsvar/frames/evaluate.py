"""Judge clips: a detector follows what the prompt names through all frames; plans and frames of driving are compared.

    python -m ttsvar.frames.evaluate --checkpoint checkpoints/far.pt

``persists``: in every frame the detector finds one thing of the prompt's class and colour, and from frame to frame it
does not go against the prompt's direction, and ends at least two steps of the grid on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ttsvar.frames import worlds
from ttsvar.frames.model import FRAMES, FrameFlow, load, to_bins
from ttsvar.frames.sample import sample
from ttsvar.frames.words import MotionTokenizer
from ttsvar.latent.judge import render
from ttsvar.latent.model import Narrow, load_narrow
from ttsvar.latent.trunk import Prompt
from ttsvar.verifiers.detector.geneval import Detection, keep
from ttsvar.verifiers.detector.judge import Judge


def groups_of(model: FrameFlow, text: str) -> list[Prompt]:
    both = model.trunk.both(torch.tensor([MotionTokenizer().encode(text)]))
    return [Prompt(both.sos[g : g + 1], [(k[g : g + 1], v[g : g + 1]) for k, v in both.memory], None) for g in (0, 1)]


def pictures(tokens: Tensor, narrow: Narrow, vae: str) -> np.ndarray:
    """``[N, frames, 64, d]`` -> uint8 ``[N, frames, 64, 64, 3]``."""
    flat = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, (8, 8))
    with torch.no_grad():
        return render(narrow.decode(flat), vae).reshape(*tokens.shape[:2], 64, 64, 3)


def found(cls: str, color: str, detections: list[Detection]) -> tuple[float, float] | None:
    """Centre of the one thing of a class and a colour."""
    fitting = [d for d in keep(detections, "colors").get(cls, []) if d.color == color]
    if not fitting:
        return None
    x0, y0, x1, y1 = fitting[0].box
    return (x0 + x1) / 2, (y0 + y1) / 2


def persists(cls: str, color: str, direction: str, clip: list[list[Detection]]) -> bool:
    way = [found(cls, color, detections) for detections in clip]
    if any(place is None for place in way):
        return False
    along = np.array([np.dot(place, worlds.DIRECTIONS[direction]) for place in way])
    return bool((np.diff(along) > -4).all() and along[-1] - along[0] >= 16)


def moving_prompts(count: int, seed: int) -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(seed)
    kinds = [(c, k, d) for c in worlds.CLASSES for k in worlds.COLORS for d in worlds.DIRECTIONS]
    return [kinds[i] for i in rng.choice(len(kinds), count, replace=False)]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", default="checkpoints/far.pt")
    p.add_argument("--narrow", default="checkpoints/narrow.pt")
    p.add_argument("--vae", default="checkpoints/vae.pt")
    p.add_argument("--judge", type=Path, default=Path("../models/detector-b"))
    p.add_argument("--prompts", type=int, default=32)
    p.add_argument("--candidates", type=int, default=2)
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--guidance", type=float, default=1.5)
    p.add_argument("--seed", type=int, default=4_242)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--picture", type=Path)
    p.add_argument("--out", type=Path)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    model, info = load(a.checkpoint)
    narrow, shown = load_narrow(a.narrow), []
    record: dict = {k: getattr(a, k) for k in ("steps", "guidance", "prompts", "candidates")} | {"images": info["images"]}
    if model.plan:
        record |= driving(model, narrow, a, shown)
    else:
        record |= moving(lambda text, seed: pictures(
            sample(model, groups_of(model, text), a.candidates, a.steps, a.guidance, seed)[0], narrow, a.vae
        ), a, shown)  # fmt: skip
    print(json.dumps(record), flush=True)
    if a.picture:
        save_strips(a.picture, shown[:12])
    if a.out:
        a.out.write_text(json.dumps(record, indent=1) + "\n")


def save_strips(path: Path | str, clips: list[np.ndarray]) -> None:
    """A row for each clip, its frames side by side."""
    Image.fromarray(np.concatenate([np.concatenate(list(clip), 1) for clip in clips], 0)).save(path)


def moving(draw: Callable[[str, int], np.ndarray], a: argparse.Namespace, shown: list) -> dict:
    """``draw(text, seed)`` -> clips, uint8 ``[candidates, frames, 64, 64, 3]``."""
    judge, passed, unseen = Judge(a.judge), [], []
    for number, (cls, color, direction) in enumerate(moving_prompts(a.prompts, a.seed)):
        clips = draw(worlds.moving_prompt(cls, color, direction), a.seed + number)
        shown.append(clips[0])
        seen = judge(clips.reshape(-1, 64, 64, 3))
        for at in range(a.candidates):
            passed.append(persists(cls, color, direction, seen[at * FRAMES : (at + 1) * FRAMES]))
            unseen.append(worlds.held_out(worlds.CLASSES.index(cls), worlds.COLORS.index(color)))
    ok, new = np.array(passed), np.array(unseen)
    held = {"unseenPairs": round(float(ok[new].mean()), 3), "unseenClips": int(new.sum())} if new.any() else {}
    return {"judge": a.judge.name, "persists": round(float(ok.mean()), 3), **held}


def driving(model: FrameFlow, narrow: Narrow, a: argparse.Namespace, shown: list) -> dict:
    """Return of plans, and how often a detector sees the car where the plan has it."""
    judge, roads, returns, agree = Judge(a.judge), worlds.roads(), [], []
    kinds = [(road, color) for road in roads for color in worlds.CARS]
    rng = np.random.default_rng(a.seed)
    for number, kind in enumerate(rng.permutation(len(kinds))[: a.prompts]):
        road, color = kinds[kind]
        tokens, plan = sample(model, groups_of(model, road.prompt(color)), a.candidates, a.steps, a.guidance, a.seed + number)
        places = 16 + 8 * to_bins(plan).numpy()
        returns += [worlds.drive_return(road, way) for way in places.astype(float)]
        clips = pictures(tokens, narrow, a.vae)
        shown.append(clips[0])
        seen = judge(clips.reshape(-1, 64, 64, 3))
        for at in range(a.candidates):
            for frame in range(FRAMES):
                centre = found("car", color, seen[at * FRAMES + frame])
                agree.append(centre is not None and np.abs(np.array(centre) - places[at, frame]).max() <= 6)
    return {
        "judge": a.judge.name, "return": round(float(np.mean(returns)), 3),
        "full": round(float((np.array(returns) == 1).mean()), 3), "carWhereThePlanHasIt": round(float(np.mean(agree)), 3),
    }  # fmt: skip


if __name__ == "__main__":
    main()
