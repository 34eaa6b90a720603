"""Where weights come from: checkpoint files read lazily (memory-mapped), or a seeded generator."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ttsvar.infinity.official.errors import ExportError, size

Shape = tuple[int, ...]
CHUNK = 1 << 22
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class TensorSource:
    """Named tensors that are read one at a time.

    shapes: every name with its shape, known without reading; ``read(name)`` gives the tensor in its stored dtype.
    origin: what to call this source in messages; ``record()`` describes it for the manifest (it hashes the files).
    """

    shapes: dict[str, Shape]
    read: Callable[[str], Tensor]
    origin: str
    record: Callable[[], dict]

    def float32(self, name: str) -> Tensor:
        """A tensor in float32, refused if it holds NaN or infinity."""
        value = self.read(name).float()
        if not torch.isfinite(value).all():
            raise ExportError(
                f"{self.origin}: {name} holds NaN or infinite values, so the file is damaged or its training diverged; "
                "download the checkpoint again"
            )
        return value

    def renamed(self, names: Mapping[str, str], shapes: Mapping[str, Shape]) -> TensorSource:
        """The source under our names: ``names`` maps ours to the stored ones; values are reshaped to ``shapes``."""
        return TensorSource(dict(shapes), lambda n: self.read(names[n]).reshape(shapes[n]), self.origin, self.record)


def open_checkpoint(path: Path, nesting: tuple[tuple[str, ...], ...] = ()) -> TensorSource:
    """Tensors of a ``.pth``/``.pt``/``.bin``/``.safetensors`` file, or of a folder with such a file or an index.

    nesting: key paths under which a state dict may be nested, tried in this order before the top level.
    """
    path = Path(path)
    if not path.exists():
        raise ExportError(f"{path} does not exist; check the path")
    if path.is_dir():
        return _open_folder(path, nesting)
    return _from_mapping(_load(path, nesting), str(path), _record(path))


def _record(path: Path, files: Sequence[Path] | None = None) -> Callable[[], dict]:
    def record() -> dict:
        digest, count = hashlib.sha256(), 0
        for file in files or [path]:
            with file.open("rb") as stream:
                while part := stream.read(CHUNK):
                    digest.update(part)
                    count += len(part)
        return {"file": path.name, "bytes": count, "sha256": digest.hexdigest()}

    return record


def _from_mapping(tensors: Mapping[str, Any], origin: str, record: Callable[[], dict]) -> TensorSource:
    shapes = {name: tuple(value.shape) for name, value in tensors.items() if isinstance(value, Tensor)}
    if not shapes:
        raise ExportError(f"{origin} holds no tensors; give the file with the model's weights")
    return TensorSource(shapes, tensors.__getitem__, origin, record)


def _load(path: Path, nesting: tuple[tuple[str, ...], ...]) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        return _SafeTensors(path)
    content = _load_torch(path)
    for keys in nesting:
        inner: Any = content
        for key in keys:
            inner = inner.get(key) if isinstance(inner, Mapping) else None
        if isinstance(inner, Mapping):
            return inner
    if not isinstance(content, Mapping):
        raise ExportError(f"{path} holds a {type(content).__name__}, not a state dict; give the file with the weights")
    return content


def _load_torch(path: Path) -> Any:
    again = f"it has {size(path.stat().st_size)}; compare that with the published size and download it again"
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch raises a dozen types here; what they mean is in their text
        text = str(error)
        if "weights_only" in text or "Weights only" in text:
            raise ExportError(
                f"{path} holds Python objects besides tensors, which could run code when read; if you trust the file, "
                "save its weights alone: torch.save(torch.load(PATH, weights_only=False)['trainer']['gpt_fsdp'], NEW)"
            ) from error
        if "mmap" in text:
            return torch.load(path, map_location="cpu", weights_only=True)
        raise ExportError(f"{path} is no complete PyTorch file (cut off, or something else); {again}") from error


class _SafeTensors(Mapping[str, Any]):
    """A safetensors file as a lazy mapping."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            self._file = safe_open(path, "pt")
        except SafetensorError as error:
            raise ExportError(f"{path} is no complete safetensors file ({error}); download it again") from error
        self._shapes = {name: self._file.get_slice(name).get_shape() for name in self._file.keys()}  # noqa: SIM118

    def __getitem__(self, name: str) -> Tensor:
        return self._file.get_tensor(name)

    def __iter__(self):  # noqa: ANN204
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _open_folder(path: Path, nesting: tuple[tuple[str, ...], ...]) -> TensorSource:
    index = _shard_index(path)
    if index is None:
        for name in ("model.safetensors", "pytorch_model.bin"):
            if (path / name).exists():
                return open_checkpoint(path / name, nesting)
        raise ExportError(
            f"{path} holds neither model.safetensors nor pytorch_model.bin nor a *.index.json of a sharded checkpoint; "
            "give the folder as it was published, or the weights file itself"
        )
    places = _weight_map(index)
    files = sorted(set(places.values()))
    missing = [name for name in files if not (path / name).exists()]
    if missing:
        raise ExportError(f"{index} lists {len(files)} files, but {', '.join(missing)} is missing; download the rest")
    shards = {name: _load(path / name, nesting) for name in files}
    lacking = [name for name, file in places.items() if name not in shards[file]]
    if lacking:
        file = path / places[lacking[0]]
        raise ExportError(f"{file} lacks {lacking[0]}, which the index promises; download it again")
    record = _record(path, [path / name for name in files])
    return _from_mapping({name: shards[file][name] for name, file in places.items()}, str(path), record)


def _shard_index(path: Path) -> Path | None:
    """The index of PyTorch shards in a folder that may also hold those of other frameworks; a complete one first."""
    usable = [index for index in sorted(path.glob("*.index.json")) if _shards(index)]
    return min(usable, key=lambda index: sum(not (path / name).exists() for name in _shards(index)), default=None)


def _shards(index: Path) -> set[str]:
    files = set(_weight_map(index).values())
    return files if all(name.endswith(WEIGHT_SUFFIXES) for name in files) else set()


def _weight_map(index: Path) -> dict[str, str]:
    try:
        return json.loads(index.read_text(encoding="utf-8")).get("weight_map", {})
    except (json.JSONDecodeError, AttributeError) as error:
        raise ExportError(f"{index} is no index of a sharded checkpoint ({error}); download it again") from error


def random_source(shapes: dict[str, Shape], seed: int) -> TensorSource:
    """Random weights of a plausible size for every name, for tests of size and speed: each from its own stream."""

    def read(name: str) -> Tensor:
        shape = shapes[name]
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))
        values = torch.randn(shape, generator=generator)
        centre, spread = _distribution(name, shape)
        return values.mul_(spread).add_(centre)

    return TensorSource(shapes, read, f"random weights (seed {seed})", lambda: {"random": seed})


def _distribution(name: str, shape: Shape) -> tuple[float, float]:
    """Mean and standard deviation: keeps activations near one, and leaves no parameter without effect."""
    if name.endswith("zero_k_bias"):
        return 0.0, 0.0
    if name.endswith("scale_mul_1H11"):
        return math.log(4), 0.2
    if "ada_gss" in name:
        return 0.1, 0.1
    if "norm" in name and name.endswith("weight"):
        return 1.0, 0.1
    if name.endswith("bias") or len(shape) == 1:
        return 0.0, 0.05
    if "embed" in name or "shared" in name or name in ("cfg_uncond", "pos_start"):
        return 0.0, 0.5
    # The head makes decided bits; T5 has no scaling of scores, so its queries are small from the start.
    gain = 2.0 if name == "head.weight" else 1 / 8 if name.endswith("SelfAttention.q.weight") else 1.0
    return 0.0, gain * math.prod(shape[1:]) ** -0.5
