"""Disk and memory of an export, before anything is read."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from ttsvar.infinity.export import SIDECAR
from ttsvar.infinity.official.errors import ExportError, size
from ttsvar.infinity.official.parts import Parts
from ttsvar.infinity.official.placement import INLINE_LIMIT, Storage

RUNTIME = 3 * 2**29  # Python, torch and ONNX Runtime themselves, with what they keep for reuse
REST = 8 * 2**20  # graphs without weights, manifest, tokenizer
CONDITION_KEYS = ("text_norm", "text_proj_for", "shared_ada_lin", "head_nm")


@dataclass(frozen=True)
class Estimate:
    """Bytes by graph as stored and as computed with (float32 unless quantised), and the peak of memory."""

    stored: dict[str, int]
    loaded: dict[str, int]
    memory: int

    @property
    def disk(self) -> int:
        return sum(self.stored.values()) + REST

    def lines(self) -> list[str]:
        by_graph = ", ".join(f"{name} {size(count)}" for name, count in self.stored.items())
        return [
            f"disk: {size(self.disk)} ({by_graph})",
            f"memory: about {size(self.memory)} while exporting and checking; "
            f"about {size(sum(self.loaded.values()))} of weights while sampling",
        ]


def estimate(parts: Parts, storage: Storage) -> Estimate:
    """From the shapes alone."""
    stored = dict.fromkeys(("text_encoder", "condition", "step", "vae_decode", "vae_encode", "sidecar"), 0)
    loaded = dict(stored)
    largest = 0
    sources = {"": parts.text_weights, "model.": parts.transformer_weights, "vae.": parts.vae_weights}
    for prefix, source in sources.items():
        for name, shape in source.shapes.items():
            graph = _graph_of(prefix, name)
            count = storage.nbytes(prefix + name, shape)
            stored[graph] += count
            kept_small = storage.of(prefix + name, shape) < 16 or name == "shared.weight"
            loaded[graph] += count if kept_small else 4 * math.prod(shape)
            largest = max(largest, 4 * math.prod(shape))
    # Writing holds one weight in a few forms, or a whole graph in three if its weights stay inside. Checking holds one
    # graph: the pages of its file, its weights as read, and the runtime's own arrangement of them.
    inline = max(count for count in stored.values() if count <= INLINE_LIMIT)
    writing = max(4 * largest, 3 * inline)
    checking = max(stored[name] + 2 * loaded[name] for name in stored)
    return Estimate(stored, loaded, RUNTIME + max(writing, checking))


def _graph_of(prefix: str, name: str) -> str:
    if prefix == "":
        return "text_encoder"
    if prefix == "vae.":
        return "vae_decode" if name.startswith("decoder.") else "vae_encode"
    if name.removesuffix(".weight") in SIDECAR or name in SIDECAR:
        return "sidecar"
    if name.startswith(CONDITION_KEYS) or any(part in name for part in (".ca.mat_kv.", ".ca.v_bias", "zero_k_bias")):
        return "condition"
    return "step"


def check_disk(needed: int, folder: Path) -> None:
    """Raises ExportError if the file system of ``folder`` cannot take ``needed`` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(
            f"the export needs {size(needed)}, but {folder} has {size(free)} free; "
            "free some space, choose --out on another disk, or a smaller --dtype"
        )
