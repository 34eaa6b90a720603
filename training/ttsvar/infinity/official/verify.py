"""The check at the end of an export: every graph in ONNX Runtime against PyTorch, on forced bits.

PyTorch computes with the weights as they were stored (rounded or quantised), so what remains is rounding of float32
arithmetic, and of activations where those are quantised too. The distance to the original weights is measured besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from ttsvar.infinity.graphs import pair_names
from ttsvar.infinity.vae import Vae
from ttsvar.infinity.official.cached import graph_step, run_cached, run_graph, starts
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.forced import force, random_bits
from ttsvar.infinity.official.parts import Parts
from ttsvar.infinity.official.placement import Storage
from ttsvar.infinity.official.resolutions import NamedSchedule
from ttsvar.infinity.official.streamed import Read, Reference, forced_run, loaded, text_states

SEED = 20_240
CANDIDATES = 2
TOKENS = 7
CLOSED_TOKENS = 2  # of the second group, as with a shorter negative prompt
CLOSED = -1e4
DECODE_GRID = (4, 6)
# Root mean square of the difference over that of the values, by bits of the activations: a wrong graph is near 1.
BOUNDS = {32: 1e-3, 8: 0.25}


@dataclass
class Distance:
    """Largest absolute difference, and root mean square of difference and reference."""

    largest: float
    rms: float
    reference: float

    @staticmethod
    def between(found: list[Tensor], wanted: list[Tensor]) -> Distance:
        a = torch.cat([x.double().flatten() for x in found])
        b = torch.cat([x.double().flatten() for x in wanted])
        difference = a - b
        return Distance(
            float(difference.abs().max()), float(difference.square().mean().sqrt()), float(b.square().mean().sqrt())
        )

    @property
    def relative(self) -> float:
        return self.rms / max(self.reference, 1e-12)

    def record(self) -> dict:
        return {"maxAbs": _round(self.largest), "rms": _round(self.rms), "referenceRms": _round(self.reference)}


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def verify(parts: Parts, folder: Path, storage: Storage, named: NamedSchedule, scales: int) -> dict:
    """Figures for the manifest.

    Raises ExportError if a graph strays from PyTorch by more than rounding explains.
    """
    schedule = named.schedule
    scales = min(scales, len(schedule.scales))
    figures: dict[str, Distance] = {}

    def stored(prefix: str, read: Read) -> Read:
        return lambda name: storage.rounded(prefix + name, read(name))

    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(3, parts.text_config.vocab_size, (1, TOKENS), generator=generator)
    wanted = text_states(parts.text, stored("", parts.text_weights.float32), ids)
    states = run_graph(folder / "text_encoder.onnx", {"input_ids": ids})["text_states"]
    figures["text_encoder"] = Distance.between([states], [wanted])

    read = parts.transformer_weights.float32
    text = torch.cat([states, read("cfg_uncond")[None, :TOKENS]])
    bias = torch.zeros(2, 1, 1, TOKENS)
    bias[1, ..., -CLOSED_TOKENS:] = CLOSED
    model, depth = parts.transformer, parts.transformer.config.depth
    forced = force(schedule, parts.vae.config.channels, random_bits(
        schedule, model.config.token_channels, CANDIDATES, SEED), scales)  # fmt: skip
    reference = forced_run(model, stored("model.", read), text, bias, forced.inputs, schedule)
    conditions = run_graph(folder / "condition.onnx", {"text_states": text, "text_bias": bias})
    names = ["sos", "gss", "head_ss", *pair_names("ca_", depth)]
    figures["condition"] = Distance.between([conditions[n] for n in names], _condition_tensors(reference))

    adds = starts(conditions.pop("sos"), read("pos_start"), read("word_embed.bias"), read("lvl_embed.weight"), scales)
    step = graph_step(folder / "step.onnx", {**conditions, "text_bias": bias})
    deltas = run_cached(step, forced.inputs, adds, schedule, model.config.head_dim)
    figures["step"] = Distance.between(deltas, reference.deltas)
    figures |= _verify_vae(parts.vae, stored("vae.", parts.vae_weights.float32), folder)

    bound = {name: BOUNDS[32] for name in figures}
    if storage.bits < 16 and storage.activation_bits == 8:
        bound |= dict.fromkeys(("condition", "step"), BOUNDS[8])
    for name, distance in figures.items():
        if not distance.relative <= bound[name]:
            raise ExportError(
                f"{name}.onnx differs from PyTorch by {distance.relative:.2g} of its values' size, more than "
                f"{bound[name]:g}; the export is not usable, please report this with the command and versions"
            )
    record = {
        "schedule": named.id, "scales": scales, "candidates": CANDIDATES, "textTokens": TOKENS, "bitsSeed": SEED,
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "bound": {name: value for name, value in bound.items()},
        "graphs": {name: distance.record() for name, distance in figures.items()},
    }  # fmt: skip
    if storage.bits < 32:
        record["originalWeights"] = _against_original(parts, text, bias, forced.inputs, named, reference)
    return record


def _condition_tensors(reference: Reference) -> list[Tensor]:
    c = reference.condition
    return [c.sos, c.gss, c.head_ss, *(t for pair in c.memory for t in pair)]


def _verify_vae(vae: Vae, read: Read, folder: Path) -> dict[str, Distance]:
    generator = torch.Generator().manual_seed(SEED)
    height, width = DECODE_GRID
    latent = torch.randint(0, 2, (CANDIDATES, vae.config.channels, height, width), generator=generator) * 2.0 - 1
    latent *= vae.config.channels**-0.5
    pixels = (height * vae.config.stride, width * vae.config.stride)
    image = torch.rand(CANDIDATES, 3, *pixels, generator=generator) * 2 - 1
    with loaded(vae, "", read), torch.no_grad():
        wanted = {"vae_decode": vae.decode(latent), "vae_encode": vae.encode(image)}
    return {
        "vae_decode": Distance.between(
            [run_graph(folder / "vae_decode.onnx", {"latent": latent})["image"]], [wanted["vae_decode"]]
        ),
        "vae_encode": Distance.between(
            [run_graph(folder / "vae_encode.onnx", {"image": image})["features"]], [wanted["vae_encode"]]
        ),
    }


def _against_original(
    parts: Parts, text: Tensor, bias: Tensor, inputs: list[Tensor], named: NamedSchedule, stored: Reference
) -> dict:
    """How far rounding the weights moves the differences of the bit logits, and how many signs it flips."""
    original = forced_run(parts.transformer, parts.transformer_weights.float32, text, bias, inputs, named.schedule)
    distance = Distance.between(stored.deltas, original.deltas)
    same = np.mean([float((a.sign() == b.sign()).float().mean()) for a, b in zip(stored.deltas, original.deltas)])
    return {"step": distance.record(), "equalSigns": _round(float(same))}
