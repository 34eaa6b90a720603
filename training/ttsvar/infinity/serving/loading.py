"""Where a served generator comes from: official checkpoints, the embedded model, or random weights for tests."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from torch import nn

from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.flops import module_flops
from ttsvar.infinity.generator import Generator
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.restore import restore_generator, restore_vae
from ttsvar.infinity.sample import TOP_P
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.keys import NESTING, VAE_NESTING, detect_variant
from ttsvar.infinity.official.parts import Parts, assemble
from ttsvar.infinity.official.resolutions import SIZES, schedules
from ttsvar.infinity.official.tensors import TensorSource, open_checkpoint
from ttsvar.infinity.official.text_folder import read_config, write_tiny_tokenizer
from ttsvar.infinity.official.tiny import tiny_parts
from ttsvar.infinity.official.variants import Variant
from ttsvar.infinity.serving.shape import Settings, Shape
from ttsvar.text.encoder import TextEncoder

Tokenize = Callable[[str], list[int]]
NOMINAL_TOKENS = 16


@dataclass(frozen=True)
class Placement:
    """Where and how to compute.

    rows: candidates per pass of the transformer; with one, rounding cannot depend on who else is in the batch.
    """

    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    rows: int = 1


@dataclass
class Loaded:
    """A generator on its device, with what describes it.

    tokenize: prompt -> token ids with the end token; shapes: the first is the default; flops: as in a manifest (text,
    condition, decodePerLatentCell, nominalTokens).
    """

    name: str
    version: str
    text: TextEncoder
    model: Infinity
    vae: Vae
    tokenize: Tokenize
    shapes: list[Shape]
    flops: dict[str, int]


def load_official(checkpoint: Path, vae: Path, text: Path, schedule: str, place: Placement) -> Loaded:
    """Official files (the kinds are those of ``export_infinity.py``), read tensor by tensor onto the device."""
    transformer = open_checkpoint(checkpoint, NESTING)
    variant = detect_variant(transformer)
    config = read_config(text, variant.transformer.text_channels)
    parts = assemble(variant, config, transformer, open_checkpoint(vae, VAE_NESTING), open_checkpoint(text))
    return load_parts(parts, folder_tokenizer(text, variant.transformer.text_max_length), schedule, place)


def load_tiny(kind: str, schedule: str, place: Placement) -> Loaded:
    """The very small random models of ``ttsvar.infinity.official.tiny``: the weights that its exported folders have, too."""
    parts = tiny_parts(kind)
    limit = parts.variant.transformer.text_max_length
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_tokenizer(Path(folder), parts.text_config, limit)
        return load_parts(parts, folder_tokenizer(Path(folder), limit), schedule, place)


def load_parts(parts: Parts, tokenize: Tokenize, schedule: str, place: Placement) -> Loaded:
    """Weights from checked sources; ``schedule``: id of the default shape."""
    # Before the modules get values: counting on the meta device costs nothing.
    shapes = official_shapes(parts.variant, schedule)
    flops = module_flops(parts.text, parts.transformer, parts.vae, shapes[0].latent, NOMINAL_TOKENS)
    lower_precision(parts.transformer, place.dtype)
    records = {}
    for name, module, source in (
        ("transformer", parts.transformer, parts.transformer_weights),
        ("vae", parts.vae, parts.vae_weights),
        ("text", parts.text, parts.text_weights),
    ):
        fill(module, source, place.device)
        records[name] = source.record()
    identity = hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()[:16]
    name = parts.variant.name
    return Loaded(name, f"{name}@{identity}", parts.text, parts.transformer, parts.vae, tokenize, shapes, flops)


def official_shapes(variant: Variant, default: str) -> list[Shape]:
    """All aspect ratios and sizes, ``default`` first."""
    named = schedules(variant.patchify)
    if default not in [entry.id for entry in named]:
        ratios = ", ".join(entry.id for entry in named if entry.size == "1M")
        raise ExportError(f"there is no schedule {default!r}; known are {ratios}, and the sizes {', '.join(SIZES)}")
    shapes = []
    for entry in sorted(named, key=lambda entry: entry.id != default):
        count = len(entry.schedule.scales)
        defaults = Settings([variant.guidance] * count, [variant.temperature] * count, TOP_P, count)
        quantizer = BitQuantizer(variant.vae.channels, entry.schedule.vae_grids)
        shapes.append(Shape(entry.id, entry.schedule, quantizer, defaults, entry.size))
    return shapes


@torch.no_grad()
def fill(module: nn.Module, source: TensorSource, device: torch.device) -> None:
    """Give a module on ``meta`` its values, one tensor at a time."""
    module.to_empty(device=device)
    for name, value in module.state_dict().items():
        value.copy_(source.float32(name))


def lower_precision(model: Infinity, dtype: torch.dtype) -> None:
    """Store the blocks' matrices in low precision; norms, modulation and head stay in float32, as officially."""
    if dtype == torch.float32:
        return
    for block in model.blocks:
        for module in block.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)


def load_embedded(folder: Path, place: Placement) -> Loaded:
    """The generator of an exported model folder of the embedded kind, back in PyTorch."""
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    generator: Generator = restore_generator(folder, manifest)
    lower_precision(generator.model, place.dtype)
    generator.to(place.device)
    vae = restore_vae(folder).to(place.device)
    sampling, magnitude = manifest["sampling"], torch.tensor(manifest["codeMagnitude"])
    shapes = []
    for entry in manifest["schedules"]:
        grids = tuple((h, w) for h, w in entry["scales"])
        schedule, count = Schedule(grids, grids[-1], manifest["architecture"]["patchify"]), len(grids)
        defaults = Settings(
            sampling["guidance"][:count], sampling["temperature"][:count], sampling["topP"],
            min(sampling.get("guidanceUntil", count), count), sampling.get("topK"),
        )  # fmt: skip
        quantizer = BitQuantizer(vae.config.channels, schedule.vae_grids, magnitude[:count])
        shapes.append(Shape(entry["id"], schedule, quantizer, defaults, entry.get("pn")))
    # The manifest holds the hashes of all files, so its own hash stands for the weights.
    version = f"{manifest['name']}@{hashlib.sha256(content).hexdigest()[:16]}"
    tokenize = folder_tokenizer(folder, manifest["architecture"]["textMaxLength"])
    return Loaded(
        manifest["name"], version, generator.text, generator.model, vae, tokenize, shapes, manifest["flops"]
    )


def folder_tokenizer(folder: Path, longest: int) -> Tokenize:
    """The tokenizer of a folder; a text that is cut keeps its end token."""
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()

    def tokenize(text: str) -> list[int]:
        ids = backend.encode(text).ids
        return ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]

    return tokenize
