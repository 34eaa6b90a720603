"""Where a served generator comes from: the embedded model, random weights, or official checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from torch import nn

from ttsvar.infinity import sample
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.flops import flops
from ttsvar.infinity.generator import Bundle, Generator
from ttsvar.infinity.model import InfinityConfig
from ttsvar.infinity.restore import restore_generator, restore_vae
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import Vae, VaeConfig
from ttsvar.serve.shape import Settings, Shape
from ttsvar.text.encoder import TextConfig
from ttsvar.text.tokenizer import Tokenizer


@dataclass
class Loaded:
    """A generator in float32 on the CPU, with what describes it.

    tokenize: prompt -> token ids with the end token; shapes: the first is the default; flops: as in a manifest (text,
    condition, decodePerLatentCell, nominalTokens).
    """

    name: str
    version: str
    generator: Generator
    vae: Vae
    tokenize: Callable[[str], list[int]]
    shapes: list[Shape]
    flops: dict[str, int]


def load_embedded(folder: Path) -> Loaded:
    """The generator of an exported model folder of the embedded kind, back in PyTorch."""
    content = (folder / "manifest.json").read_bytes()
    manifest = json.loads(content)
    generator, vae = restore_generator(folder, manifest), restore_vae(folder)
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
        shapes.append(Shape(entry["id"], schedule, quantizer, defaults))
    # The manifest holds the hashes of all files, so its own hash stands for the weights.
    version = f"{manifest['name']}@{hashlib.sha256(content).hexdigest()[:16]}"
    tokenize = folder_tokenizer(folder, manifest["architecture"]["textMaxLength"])
    return Loaded(manifest["name"], version, generator, vae, tokenize, shapes, manifest["flops"])


def load_random_tiny(seed: int, patchify: bool = False) -> Loaded:
    """A very small generator with random weights, for tests and for trying out the protocol; two shapes."""
    torch.manual_seed(seed)
    channels = 8
    config = InfinityConfig(4, 64, 4, 128, 32, channels * (4 if patchify else 1), 2)
    generator = Generator(config, TextConfig(vocab_size=len(Tokenizer())))
    vae = Vae(VaeConfig(channels, 8, (1, 2), (1, 2), (0, 1), (1, 1), 1, 1, 4))
    with torch.no_grad():
        for parameter in (*generator.parameters(), *vae.parameters()):
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    magnitude = torch.rand(4, channels) + 0.2
    shapes = []
    for id, grids in (("3:2", ((1, 1), (2, 3), (3, 4), (4, 6))), ("1:1", ((1, 1), (2, 2), (3, 3), (5, 5)))):
        schedule = Schedule(grids, grids[-1], patchify)
        ramp = sample.Settings.ramp(len(grids), guidance=2.0, hot=1.0, cold=0.7)
        defaults = Settings(ramp.guidance, [round(t, 4) for t in ramp.temperature], ramp.top_p, len(grids))
        shapes.append(Shape(id, schedule, BitQuantizer(channels, schedule.vae_grids, magnitude), defaults))
    version = f"random-tiny@{hash_weights(generator, vae, shapes[0].quantizer)}"
    bundle = Bundle(generator.eval(), vae.eval(), shapes[0].quantizer, shapes[0].schedule, {})
    return Loaded("random-tiny", version, generator, vae, Tokenizer().encode, shapes, flops(bundle))


def hash_weights(*modules: nn.Module) -> str:
    """16 hexadecimal digits over all parameters and buffers."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in module.state_dict().items():
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def folder_tokenizer(folder: Path, longest: int) -> Callable[[str], list[int]]:
    """The tokenizer of a folder; a text that is cut keeps its end token."""
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()

    def tokenize(text: str) -> list[int]:
        ids = backend.encode(text).ids
        return ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]

    return tokenize
