"""From checkpoints to a model folder: graphs, tokenizer, small weights, manifest; complete and checked, or nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.infinity import graphs
from ttsvar.infinity.export import GRAPHS, digest, write_sidecar
from ttsvar.infinity.flops import module_flops, stage_costs
from ttsvar.infinity.sample import TOP_P
from ttsvar.infinity.official.errors import ExportError, size
from ttsvar.infinity.official.estimate import check_disk, estimate
from ttsvar.infinity.official.hollow import blockwise_attention, trace
from ttsvar.infinity.official.parts import Parts
from ttsvar.infinity.official.placement import DTYPES, Storage, WrittenGraph, place
from ttsvar.infinity.official.progress import Progress
from ttsvar.infinity.official.resolutions import NamedSchedule, schedules
from ttsvar.infinity.official.tensors import TensorSource
from ttsvar.infinity.official.text_folder import copy_tokenizer, write_tiny_tokenizer
from ttsvar.infinity.official.verify import verify

VERSION = "1.0.0"
NOMINAL_TOKENS = 16
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Request:
    """What to write. ``tokenizer`` is the T5 folder, or None for the tiny tokenizer of the tests.

    default_schedule: id of the schedule that is used when none is asked for; sizes: which to include.
    """

    out: Path
    storage: Storage
    tokenizer: Path | None
    default_schedule: str = "1:1@0.06M"
    sizes: tuple[str, ...] = ("0.06M", "0.25M", "0.60M", "1M")
    verify_scales: int = 4
    quiet: bool = False


def ordered_schedules(request: Request, patchify: bool) -> list[NamedSchedule]:
    """All schedules of the wanted sizes, the default first."""
    every = schedules(patchify, request.sizes)
    chosen = [named for named in every if named.id == request.default_schedule]
    if not chosen:
        known = ", ".join(named.id for named in every)
        raise ExportError(f"there is no schedule {request.default_schedule!r}; known are {known}")
    return chosen + [named for named in every if named.id != request.default_schedule]


def export(parts: Parts, request: Request) -> dict:
    """Write the model folder; returns the manifest. Raises ExportError, and leaves nothing behind then."""
    if request.out.exists():
        raise ExportError(f"{request.out} exists already; choose another --out or remove it first")
    order = ordered_schedules(request, parts.variant.patchify)
    expected = estimate(parts, request.storage)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress(sum(expected.stored.values()), request.quiet)
    for line in expected.lines():
        progress.say(line)
    check_disk(expected.disk, request.out.parent)
    with _partial_folder(request.out, expected.disk) as folder:
        written = _write_graphs(parts, request.storage, folder, progress)
        progress.finish()
        sidecar = write_sidecar(_Floats(parts.transformer_weights), folder / "weights.bin")
        limit = parts.variant.transformer.text_max_length
        if request.tokenizer is None:
            tokenizer = write_tiny_tokenizer(folder, parts.text_config, limit)
        else:
            tokenizer = copy_tokenizer(request.tokenizer, folder, parts.text_config, limit)
        progress.say("comparing every graph with PyTorch on forced bits")
        figures = verify(parts.fresh(), folder, request.storage, order[0], request.verify_scales)
        content = _manifest(parts, request, order, written, sidecar)
        content["tokenizer"] = {"files": {name: digest(folder / name)["sha256"] for name in tokenizer}}
        content["verification"] = figures
        (folder / "manifest.json").write_text(compact_json(content), encoding="utf-8")
        check_folder(folder)
    return content


class _Floats(dict):
    """A source as a mapping of float32 tensors, read when asked for."""

    def __init__(self, source: TensorSource) -> None:
        super().__init__(dict.fromkeys(source.shapes))
        self._source = source

    def __getitem__(self, name: str) -> Tensor:
        return self._source.float32(name)


@contextmanager
def _partial_folder(out: Path, needed: int) -> Iterator[Path]:
    """A hidden sibling of ``out`` that becomes ``out`` if the body succeeds, and disappears if it does not."""
    for stale in out.parent.glob(f".{out.name}.partial-*"):
        if not _is_running(stale.name.rpartition("-")[2]):
            shutil.rmtree(stale, ignore_errors=True)
    folder = out.parent / f".{out.name}.partial-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
        os.rename(folder, out)
    except OSError as error:
        if error.errno in FULL_DISK:
            raise ExportError(
                f"the disk of {out.parent} is full: the export needs {size(needed)} in all; free some space, choose "
                "--out on another disk, or a smaller --dtype (nothing was left behind)"
            ) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _write_graphs(parts: Parts, storage: Storage, folder: Path, progress: Progress) -> dict[str, WrittenGraph]:
    c, channels, stride = parts.transformer.config, parts.vae.config.channels, parts.vae.config.stride
    text = {"text_states": torch.zeros(2, 6, c.text_channels), "text_bias": torch.zeros(2, 1, 1, 6)}
    conditions = ["sos", "gss", "head_ss", *graphs.pair_names("ca_", c.depth)]
    step_outputs = ["delta", *graphs.pair_names("new_", c.depth)]
    cells, pixels = {0: "B", 2: "h", 3: "w"}, {0: "B", 2: "H", 3: "W"}
    latent, image = torch.zeros(1, channels, 2, 3), torch.zeros(1, 3, 2 * stride, 3 * stride)
    inner = graphs.axes(parts.transformer)

    def write(
        name: str, module: nn.Module, source: TensorSource, inputs: dict, outputs: list[str], dynamic: dict
    ) -> WrittenGraph:
        shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        prefix = {"text_encoder": "", "condition": "model.", "step": "model."}.get(name, "vae.")
        return place(
            trace(module, inputs, outputs, dynamic), lambda key: source.float32(key.removeprefix(prefix)), shapes,
            storage, folder / f"{name}.onnx", lambda count, key: progress.advance(count, f"{name}: {key}"),
        )  # fmt: skip

    # Tracing takes a module's parameters away, so every graph has its own modules (without values they cost nothing).
    stepping = parts.fresh().transformer
    for block in stepping.blocks:
        block.sa.attend = blockwise_attention
    return {
        "text_encoder": write(
            "text_encoder", parts.fresh().text, parts.text_weights, {"input_ids": torch.tensor([[3, 4, 5, 1]])},
            ["text_states"], {"input_ids": {1: "T"}, "text_states": {1: "T"}},
        ),
        "condition": write(
            "condition", graphs.ConditionGraph(parts.fresh().transformer), parts.transformer_weights, text,
            conditions, inner,
        ),
        "step": write(
            "step", graphs.StepGraph(stepping), parts.transformer_weights, graphs.example(stepping), step_outputs, inner
        ),
        "vae_decode": write(
            "vae_decode", graphs.DecodeGraph(parts.fresh().vae), parts.vae_weights, {"latent": latent}, ["image"],
            {"latent": cells, "image": pixels},
        ),
        "vae_encode": write(
            "vae_encode", graphs.EncodeGraph(parts.fresh().vae), parts.vae_weights, {"image": image}, ["features"],
            {"image": pixels, "features": cells},
        ),
    }  # fmt: skip


def _manifest(
    parts: Parts, request: Request, order: list[NamedSchedule], written: dict[str, WrittenGraph], sidecar: dict
) -> dict:
    variant, c, vae = parts.variant, parts.transformer.config, parts.vae.config
    entries = [
        {**named.entry(vae.stride), "stageFlops": stage_costs(c, named.schedule, NOMINAL_TOKENS)} for named in order
    ]
    fresh = parts.fresh()
    outside = {w.data.file: {"sha256": w.data.sha256, "bytes": w.data.bytes} for w in written.values() if w.data}
    return {
        "schemaVersion": 1, "name": request.out.name, "family": "infinity", "version": VERSION,
        "variant": variant.name,
        "dtype": next(name for name, bits in DTYPES.items() if bits == request.storage.bits),
        "activationBits": request.storage.activation_bits,
        "attention": "blockwise",
        "image": {"size": entries[0]["pixels"][0], "channels": 3, "stride": vae.stride},
        "architecture": {
            "depth": c.depth, "embedDim": c.width, "heads": c.heads, "ffnHidden": c.hidden,
            "textChannels": c.text_channels, "textMaxLength": c.text_max_length, "codeChannels": vae.channels,
            "tokenChannels": c.token_channels, "patchify": variant.patchify,
        },
        "sampling": {"guidance": [variant.guidance], "temperature": [variant.temperature], "topP": TOP_P},
        "graphs": {
            name: {"file": written[name].file, "sha256": written[name].sha256, "bytes": written[name].bytes}
            for name in GRAPHS
        },
        **({"externalData": {"files": outside}} if outside else {}),
        "sidecar": sidecar,
        "flops": module_flops(
            fresh.text, fresh.transformer, fresh.vae, order[0].schedule.vae_grids[-1], NOMINAL_TOKENS
        ),
        "source": {
            "transformer": parts.transformer_weights.record(), "vae": parts.vae_weights.record(),
            "text": parts.text_weights.record(),
        },
        "configuration": {"transformer": asdict(c), "vae": asdict(vae), "text": asdict(parts.text_config)},
        "schedules": entries,
    }  # fmt: skip


def compact_json(content: dict) -> str:
    """One line per field, and one per schedule: 60 schedules on a line per number would be a megabyte."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    lines = []
    for key, value in content.items():
        if key == "schedules":
            rows = ",\n  ".join(line(entry) for entry in value)
            lines.append(f"{line(key)}: [\n  {rows}\n ]")
        else:
            lines.append(f"{line(key)}: {line(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def listed_files(manifest: dict) -> dict[str, dict]:
    """Every file that the manifest vouches for, with ``sha256`` and, where given, ``bytes``."""
    files = {entry["file"]: entry for entry in (*manifest["graphs"].values(), manifest["sidecar"])}
    files |= manifest.get("externalData", {}).get("files", {})
    return files | {name: {"sha256": value} for name, value in manifest["tokenizer"]["files"].items()}


def check_folder(folder: Path) -> dict:
    """Read a model folder's manifest and compare all its files with it. Raises ExportError naming the file."""
    path = folder / "manifest.json"
    if not path.exists():
        raise ExportError(f"there is no finished model in {folder}: manifest.json is missing; export it again")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for name, entry in listed_files(manifest).items():
        file = folder / name
        if not file.exists():
            raise ExportError(f"{file} is missing; copy the model folder again, or export it again")
        found = file.stat().st_size
        if found != entry.get("bytes", found):
            raise ExportError(
                f"{file} has {found} bytes, but its manifest says {entry['bytes']} (a truncated copy?); "
                "copy the model folder again, or export it again"
            )
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != entry["sha256"]:
                raise ExportError(f"{file} is not the file that its manifest means; copy the model folder again")
    return manifest
