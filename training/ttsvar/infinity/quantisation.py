"""What int8 and int4 weights cost in quality, measured on the embedded generator.

    python -m ttsvar.infinity.quantisation --model ../models/generator --out ../results/quantisation

The shipped graphs are turned back into parameters, exported again with quantised weights by the exporter of official
checkpoints, and sampled through ONNX Runtime with the same noise. The judge is a detector under GenEval's rules.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from ttsvar.verifiers.detector.geneval import passes
from ttsvar.verifiers.detector.judge import Judge
from ttsvar.infinity import graphs
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.evaluate import PROMPT_SEED, summary
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.model import Condition, Infinity, Pair
from ttsvar.infinity.restore import restore_generator, restore_vae
from ttsvar.infinity.sample import Settings, Trace, render, sample
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.official.cached import run_session, session
from ttsvar.infinity.official.hollow import trace
from ttsvar.infinity.official.placement import Storage, WrittenGraph, place
from ttsvar.world import geneval_prompts

CONFIGURATIONS = {
    "fp32": Storage(32),
    "fp16": Storage(16),
    "int8": Storage(8, 32),
    "int8, int8 activations": Storage(8, 8),
    "int4": Storage(4, 32),
    "int4, int8 activations": Storage(4, 8),
}
MARGIN = 0.02  # loss of score that has to be ruled out before a configuration is recommended


class GraphInfinity(Infinity):
    """The transformer with conditioning and steps computed by exported graphs; a single prompt at a time."""

    def __init__(self, model: Infinity, condition: Path, step: Path) -> None:
        super().__init__(model.config)
        self.load_state_dict(model.state_dict())
        self._graphs = session(condition), session(step)

    def condition(self, text: Tensor, text_bias: Tensor | None = None) -> Condition:
        if text_bias is None:
            text_bias = torch.zeros(text.shape[0], 1, 1, text.shape[1])
        out = run_session(self._graphs[0], {"text_states": text, "text_bias": text_bias})
        memory = [(out[f"ca_k_{i}"], out[f"ca_v_{i}"]) for i in range(self.config.depth)]
        return Condition(out["sos"], out["gss"], out["head_ss"], memory, text_bias)

    def step(
        self, z: Tensor, x_add: Tensor, rope: Pair, condition: Condition, past: list[Pair] | None
    ) -> tuple[Tensor, list[Pair]]:
        depth, groups = self.config.depth, x_add.shape[0]
        z = z[0] if z.ndim == 4 else z  # the same for both guidance groups
        empty = torch.zeros(groups * z.shape[0], self.config.heads, 0, self.config.head_dim)
        inputs = {
            "z": z, "x_add": x_add, "rope_cos": rope[0], "rope_sin": rope[1], "gss": condition.gss,
            "head_ss": condition.head_ss, "text_bias": condition.text_bias,
        }  # fmt: skip
        for prefix, pairs in (("ca_", condition.memory), ("past_", past or [(empty, empty)] * depth)):
            inputs |= dict(zip(graphs.pair_names(prefix, depth), (t for pair in pairs for t in pair)))
        out = run_session(self._graphs[1], inputs)
        return out["delta"], [(out[f"new_k_{i}"], out[f"new_v_{i}"]) for i in range(depth)]


def write_graphs(model: Infinity, storage: Storage, folder: Path) -> dict[str, WrittenGraph]:
    """``condition.onnx`` and ``step.onnx`` of ``model`` with weights stored as ``storage`` says."""
    state, c = model.state_dict(), model.config
    text = {"text_states": torch.zeros(2, 6, c.text_channels), "text_bias": torch.zeros(2, 1, 1, 6)}
    written = {}
    for name in ("condition", "step"):
        with torch.device("meta"):
            hollow = Infinity(c).eval().requires_grad_(False)
        if name == "condition":
            module, inputs = graphs.ConditionGraph(hollow), text
            outputs = ["sos", "gss", "head_ss", *graphs.pair_names("ca_", c.depth)]
        else:
            module, inputs = graphs.StepGraph(hollow), graphs.example(model)
            outputs = ["delta", *graphs.pair_names("new_", c.depth)]
        shapes = {f"model.{key}": tuple(value.shape) for key, value in state.items()}
        traced = trace(module, inputs, outputs, graphs.axes(model))
        written[name] = place(
            traced, lambda key: state[key.removeprefix("model.")], shapes, storage, folder / f"{name}.onnx"
        )
    return written


def with_graphs(bundle: Bundle, storage: Storage) -> tuple[Bundle, dict[str, WrittenGraph]]:
    """The bundle whose transformer runs as exported graphs."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_graphs(bundle.generator.model, storage, Path(folder))
        model = GraphInfinity(bundle.generator.model, Path(folder, "condition.onnx"), Path(folder, "step.onnx"))
    generator = Generator(bundle.generator.model.config, bundle.generator.text.config).eval().requires_grad_(False)
    generator.text, generator.model = bundle.generator.text, model
    return replace(bundle, generator=generator), written


@dataclass
class Result:
    """One configuration. Differences are to the first one, with the same prompts and noise.

    score: mean over tags of the share of images that pass; change and error: paired difference of single images and its
    standard error; pixels: mean absolute difference of 255; bits: share of equal bits over all scales.
    """

    name: str
    mib: float
    score: float
    change: float
    error: float
    pixels: float
    bits: float
    seconds: float


def load_shipped(folder: Path) -> tuple[Bundle, Settings]:
    """The model folder as modules, and its sampling settings."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    schedule = Schedule.square([h for h, _ in manifest["schedules"][0]["scales"]])
    magnitude = torch.tensor(manifest["codeMagnitude"])
    quantizer = BitQuantizer(magnitude.shape[1], schedule.vae_grids, magnitude)
    generator = restore_generator(folder, manifest).eval().requires_grad_(False)
    vae = restore_vae(folder).eval().requires_grad_(False)
    sampling, count = manifest["sampling"], len(schedule.scales)
    lists = [sampling[name] * (count if len(sampling[name]) == 1 else 1) for name in ("guidance", "temperature")]
    return Bundle(generator, vae, quantizer, schedule, manifest), Settings(*lists, sampling["topP"])


@torch.no_grad()
def draw_all(
    bundle: Bundle, metas: list[dict], candidates: int, settings: Settings
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Images ``[prompts * candidates, S, S, 3]`` and their bits, prompt by prompt with noise of their own."""
    images, bits = [], []
    for index, meta in enumerate(metas):
        taken = Trace()
        latents = sample(bundle, [meta["prompt"]], candidates, settings, index, fast=False, trace=taken)
        images.append(render(bundle, latents.flatten(0, 1), fast=False))
        bits.append(np.concatenate([b.flatten(2).flatten().numpy() for b in taken.bits]))
    return np.concatenate(images), bits


def measure(bundle: Bundle, judge: Judge, metas: list[dict], candidates: int, settings: Settings) -> list[Result]:
    """All configurations in order; the first is the reference."""
    results: list[Result] = []
    reference: tuple | None = None
    for name, storage in CONFIGURATIONS.items():
        began = time.monotonic()
        quantised, written = with_graphs(bundle, storage)
        images, bits = draw_all(quantised, metas, candidates, settings)
        found = judge(images)
        passed = np.array([passes(metas[i // candidates], d) for i, d in enumerate(found)], float)
        reference = reference or (images, bits, passed)
        change = passed - reference[2]
        results.append(Result(
            name, round(sum(w.total for w in written.values()) / 2**20, 2),
            float(summary(metas, passed.reshape(len(metas), candidates).astype(bool))["pass@1"]["mean"]),
            float(change.mean()), float(change.std() / len(change) ** 0.5),
            float(np.abs(images.astype(int) - reference[0].astype(int)).mean()),
            float(np.mean([(a == b).mean() for a, b in zip(bits, reference[1])])),
            round(time.monotonic() - began, 1),
        ))  # fmt: skip
        print(f"{name}: score {results[-1].score:.3f}", flush=True)
    return results


def recommended(results: list[Result]) -> str:
    """The smallest configuration that is shown (two standard errors) to lose less than the margin."""
    fine = [r for r in results if r.change - 2 * r.error > -MARGIN]
    return min(fine, key=lambda r: (r.mib, "activations" not in r.name)).name


REPORT = """# Quantised weights on the embedded generator

    cd training && python -m ttsvar.infinity.quantisation --out ../results/quantisation

Judge: {judge}, GenEval's rules, {prompts} prompts with {candidates} images each, same prompts and noise for all rows.
Large matrices are stored in blocks of 32 values with one scale each, everything else in fp16. "int8 activations": the
other factor of those products is quantised too while computing, which is faster. Score is the mean over tags; change is
the paired difference of single images to the first row, with its standard error. Bits: share of equal bits along the
sampled paths; one early bit that flips changes the whole path, so an equal score with other bits means another image
of the same quality. Size: condition and step graphs.

| weights | size | score | change | pixels (of 255) | bits |
|---|---|---|---|---|---|
{rows}

Recommended: **{recommended}**, the smallest that is shown, by two standard errors, to lose less than {margin:g} of the
score. onnxruntime {runtime}, CPU.
"""


def report(results: list[Result], judge: str, prompts: int, candidates: int) -> str:
    rows = [
        (
            r.name,
            f"{r.mib:.1f} MiB",
            f"{r.score:.3f}",
            f"{r.change:+.3f} ± {r.error:.3f}",
            f"{r.pixels:.1f}",
            f"{r.bits:.1%}",
        )
        for r in results
    ]
    return REPORT.format(
        judge=judge, prompts=prompts, candidates=candidates, rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
        recommended=recommended(results), margin=MARGIN, runtime=onnxruntime.__version__,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("../models/generator"))
    parser.add_argument("--judge", type=Path, default=Path("../models/detector-b"))
    parser.add_argument("--per-tag", type=int, default=20)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--out", type=Path, help="folder for README.md and quantisation.json")
    a = parser.parse_args()
    bundle, settings = load_shipped(a.model)
    metas = geneval_prompts(a.per_tag, PROMPT_SEED)
    results = measure(bundle, Judge(a.judge), metas, a.candidates, settings)
    text = report(results, a.judge.name, len(metas), a.candidates)
    print(text)
    if a.out:
        a.out.mkdir(parents=True, exist_ok=True)
        (a.out / "README.md").write_text(text, encoding="utf-8")
        content = {"model": bundle.info["name"], "version": bundle.info["version"], "judge": a.judge.name,
                   "recommended": recommended(results), "rows": [asdict(r) for r in results]}  # fmt: skip
        (a.out / "quantisation.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
