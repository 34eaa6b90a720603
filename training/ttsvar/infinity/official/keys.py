"""Strict comparison of a checkpoint's keys and shapes with what a model needs, with names for what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import torch
from torch import nn

from ttsvar.infinity.model import IGNORED_KEYS, Infinity
from ttsvar.infinity.vae import Vae
from ttsvar.infinity.official.errors import ExportError
from ttsvar.infinity.official.tensors import Shape, TensorSource
from ttsvar.infinity.official.variants import VARIANTS, Variant

NESTING = (("trainer", "gpt_fsdp"), ("gpt_fsdp",), ("trainer", "gpt_wo_ddp"), ("state_dict",))
VAE_NESTING = (("vae",), ("trainer", "vae_local"))
UNSUPPORTED = (  # pattern of a surplus key, the option that makes it
    (r"ca_gamma", "cross_attn_layer_scale >= 0 (learned scale of the cross-attention)"),
    (r"^norm0_ve\.", "nm0 (norm of the visual embedding)"),
    (r"^head\.\d+\.", "head_depth > 1 (head with several layers)"),
    (r"ffn\.fcg\.", "swiglu (gated feed-forward)"),
    (r"\.ada_lin\.", "shared_aln off (one adaptive layer norm per block)"),
    (r"\.attn\.mat_qkv|rope2d_freqs_grid", "another type of block or stored rotary tables"),
    (r"semantic_head", "semantic_head"),
)


def shapes_of(module: nn.Module) -> dict[str, Shape]:
    """Names and shapes of a module's state dict; the module may live on ``meta``."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _shape(source: TensorSource) -> tuple[Shape | None, int]:
    """Shape of the input embedding and number of blocks."""
    blocks = {m[1] for name in source.shapes if (m := re.match(r"block_chunks\.(\d+\.module\.\d+)\.", name))}
    return source.shapes.get("word_embed.weight"), len(blocks)


def _recognised(source: TensorSource) -> Variant | None:
    for variant in VARIANTS.values():
        c = variant.transformer
        if _shape(source) == ((c.width, c.token_channels), c.depth):
            return variant
    return None


def detect_variant(source: TensorSource) -> Variant:
    """The variant that a transformer checkpoint is of, from the shape of its input and its number of blocks."""
    found = _recognised(source)
    if found:
        return found
    embed, blocks = _shape(source)
    if embed is None:
        raise ExportError(
            f"{source.origin} is no Infinity transformer (word_embed.weight is missing); "
            "give the transformer with --checkpoint, the VAE with --vae and the text encoder with --text"
        )
    raise ExportError(
        f"{source.origin} has {blocks} blocks and an input of {embed[1]} channels and width {embed[0]}, "
        f"which is none of the known variants ({', '.join(VARIANTS)}); it cannot be exported"
    )


def transformer_source(source: TensorSource, variant: Variant, module: Infinity) -> TensorSource:
    """The checkpoint under our names, checked against ``module`` (which may live on ``meta``)."""
    kept = {name: name for name in source.shapes if not name.endswith(IGNORED_KEYS)}
    found = _recognised(source)
    if found and found.name != variant.name:
        raise ExportError(f"{source.origin} is {found.name}, not {variant.name}; use --variant {found.name}")
    return _checked(source, kept, shapes_of(module), "transformer")


def vae_source(source: TensorSource, module: Vae) -> TensorSource:
    """The VAE under our names; official files spell ``x.conv.weight`` also as ``x.weight``."""
    wanted = shapes_of(module)
    names = {}
    for name in wanted:
        short = re.sub(r"\.(conv|norm)\.(weight|bias)$", r".\2", name)
        names[name if name in source.shapes or short not in source.shapes else short] = name
    kept = {
        names.get(stored, stored): stored
        for stored in source.shapes
        if not re.match(r"quantizer?\.|quantize\.|lfq|.*\.lfq\.", stored)
    }
    channels = source.shapes.get(next((n for n in ("decoder.conv_in.conv.weight", "decoder.conv_in.weight")
                                       if n in source.shapes), ""), (0, 0))[1]  # fmt: skip
    expected = module.config.channels
    if channels and channels != expected:
        raise ExportError(
            f"{source.origin} is a VAE with {channels} channels, but this transformer was trained with {expected}; "
            f"use {_vae_hint(expected)}"
        )
    return _checked(source, kept, wanted, "VAE")


def _vae_hint(channels: int) -> str:
    files = {32: "infinity_vae_d32reg.pth", 14: "infinity_vae_d56_f8_14_patchify.pth"}
    return files.get(channels, f"the VAE with {channels} channels")


def text_source(source: TensorSource, module: nn.Module) -> TensorSource:
    """A T5 encoder, also out of a full T5 model (its decoder is left out)."""
    skipped = re.compile(r"^(decoder\.|lm_head\.|encoder\.embed_tokens\.)")
    kept = {name: name for name in source.shapes if not skipped.match(name)}
    if "shared.weight" not in kept and "encoder.embed_tokens.weight" in source.shapes:
        kept["shared.weight"] = "encoder.embed_tokens.weight"
    return _checked(source, kept, shapes_of(module), "text encoder")


def _checked(source: TensorSource, kept: dict[str, str], wanted: dict[str, Shape], what: str) -> TensorSource:
    """``kept`` maps our names to stored ones; every name must be there, and no other, with the wanted size."""
    surplus = [name for name in kept if name not in wanted]
    for name in surplus:
        for pattern, option in UNSUPPORTED:
            if re.search(pattern, name):
                raise ExportError(
                    f"{source.origin} was trained with {option}, as its key {name} shows; no released checkpoint uses "
                    "that option and the exporter does not support it"
                )
    missing = [name for name in wanted if name not in kept and not name.endswith("zero_k_bias")]
    if missing or surplus:
        raise ExportError(
            f"{source.origin} does not fit the {what}: {_some('missing', missing)}{_some('unknown', surplus)}"
            "check that the file is complete and that it is the checkpoint of this variant"
        )
    wrong = [name for name in wanted if name in kept and not _fits(name, source.shapes[kept[name]], wanted[name])]
    if wrong:
        name = wrong[0]
        raise ExportError(
            f"{source.origin}: {name} has the shape {list(source.shapes[kept[name]])}, but {list(wanted[name])} is "
            f"needed ({len(wrong)} such keys); it is the checkpoint of another variant or text encoder"
        )
    zeros = [name for name in wanted if name not in kept]
    renamed = source.renamed({**kept, **dict.fromkeys(zeros, "")}, wanted)
    if not zeros:
        return renamed
    read = renamed.read
    return TensorSource(
        renamed.shapes, lambda n: torch.zeros(wanted[n]) if n in zeros else read(n), source.origin, source.record
    )


def _fits(name: str, stored: Shape, wanted: Shape) -> bool:
    """Equal shapes; the flash kernel's checkpoints have the axes of ``scale_mul_1H11`` in another order."""
    return stored == wanted or (name.endswith("scale_mul_1H11") and math.prod(stored) == math.prod(wanted))


def _some(label: str, names: Iterable[str], limit: int = 3) -> str:
    names = sorted(names)
    if not names:
        return ""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{label} {', '.join(names[:limit])}{more}; "
