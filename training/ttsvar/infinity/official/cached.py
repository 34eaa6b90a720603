"""Scale-by-scale runs with key/value caches, by PyTorch or by an exported step graph, through one loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from ttsvar.infinity.graphs import pair_names
from ttsvar.infinity.model import Condition, Infinity
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.official.errors import ExportError

Rope = tuple[Tensor, Tensor]
Caches = list[Tensor]  # k_0, v_0, k_1, v_1, ...; each [R, H, P, hd]
Step = Callable[[Tensor, Tensor, Rope, Caches | None], tuple[Tensor, Caches]]


def session(path: Path) -> onnxruntime.InferenceSession:
    """A graph on the CPU, as the TypeScript side opens it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(
            f"ONNX Runtime cannot load {path}: {str(error).strip()}; copy the model folder again, or export it again"
        ) from error


def run_session(opened: onnxruntime.InferenceSession, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All outputs by name."""
    outputs = opened.run(None, {name: value.contiguous().numpy() for name, value in inputs.items()})
    return {o.name: torch.from_numpy(value) for o, value in zip(opened.get_outputs(), outputs)}


def run_graph(path: Path, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All outputs of a graph that is opened for this one call."""
    return run_session(session(path), inputs)


def torch_step(model: Infinity, condition: Condition) -> Step:
    def step(z: Tensor, start: Tensor, rope: Rope, past: Caches | None) -> tuple[Tensor, Caches]:
        pairs = list(zip(past[0::2], past[1::2])) if past else None
        delta, new = model.step(z, start, rope, condition, pairs)
        return delta, [t for pair in new for t in pair]

    return step


def graph_step(path: Path, conditions: dict[str, Tensor]) -> Step:
    """``conditions``: the outputs of the condition graph but ``sos``, and ``text_bias``."""
    opened = session(path)
    names = pair_names("past_", sum(name.startswith("ca_k_") for name in conditions))
    groups, heads, _, width = conditions["ca_v_0"].shape

    def step(z: Tensor, start: Tensor, rope: Rope, past: Caches | None) -> tuple[Tensor, Caches]:
        past = past or [torch.zeros(groups * z.shape[0], heads, 0, width) for _ in names]
        inputs = {"z": z, "x_add": start, "rope_cos": rope[0], "rope_sin": rope[1], **conditions}
        out = run_session(opened, inputs | dict(zip(names, past)))
        return out["delta"], [out[name.replace("past_", "new_")] for name in names]

    return step


def starts(sos: Tensor, pos_start: Tensor, bias: Tensor, levels: Tensor, scales: int) -> list[Tensor]:
    """``x_add`` ``[G, 1, C]`` of the first scales, from the sidecar's tensors and the pooled text ``[G, C]``."""
    first = sos[:, None] + pos_start - bias + levels[0]
    return [first, *(levels[scale].expand(len(sos), 1, -1) for scale in range(1, scales))]


@torch.no_grad()
def run_cached(
    step: Step, inputs: list[Tensor], adds: list[Tensor], schedule: Schedule, head_dim: int,
    picks: dict[int, list[int]] | None = None,
) -> list[Tensor]:  # fmt: skip
    """Deltas ``[G, B, L, dv]`` per scale. ``picks[s]``: candidates whose caches go on after scale ``s``."""
    past: Caches | None = None
    deltas = []
    for scale, (z, add) in enumerate(zip(inputs, adds)):
        delta, new = step(z, add, schedule.rope(scale, head_dim), past)
        past = [torch.cat(pair, 2) for pair in zip(past, new)] if past else new
        deltas.append(delta)
        if picks and scale in picks:
            rows = [group * z.shape[0] + row for group in range(delta.shape[0]) for row in picks[scale]]
            past = [cache[rows] for cache in past]
    return deltas
