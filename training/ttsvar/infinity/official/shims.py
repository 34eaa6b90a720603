"""Importing the official repository on a machine without a GPU, for comparisons only.

The repository is given by path and is no part of this project. What it imports and this environment lacks is replaced
by the little that inference touches; two of its fast paths are pinned so that float32 results are exact:

* ``flash_attn``: a plain loop over the sequences (cross-attention has no other path in the original);
* ``torch.compile``: the identity, because without its fused norm the original silently takes a branch that leaves the
  scale index out of the rotary positions;
* bfloat16, to which cross-attention casts by name: float32.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from ttsvar.infinity.official.errors import ExportError


def varlen_attention(
    q: Tensor, kv: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, max_seqlen_q: int, max_seqlen_k: int,
    dropout_p: float = 0.0, softmax_scale: float | None = None,
) -> Tensor:  # fmt: skip
    """Attention of packed sequences: q ``[sum Tq, H, hd]``, kv ``[sum Tk, 2, H, hd]`` -> ``[sum Tq, H, hd]``."""
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    parts = []
    for i in range(len(cu_seqlens_q) - 1):
        queries = q[cu_seqlens_q[i] : cu_seqlens_q[i + 1]].transpose(0, 1)
        keys, values = kv[cu_seqlens_k[i] : cu_seqlens_k[i + 1]].permute(1, 2, 0, 3)
        parts.append(((queries @ keys.transpose(1, 2) * scale).softmax(-1) @ values).transpose(0, 1))
    return torch.cat(parts)


def _dense_attention(*_: Any, **__: Any) -> Tensor:
    raise NotImplementedError("the released configurations never call this")


def _rearrange(x: Tensor, pattern: str, **_: int) -> Tensor:
    """The two patterns of the path from bits to codes."""
    if pattern == "... c d -> ... (c d)":
        return x.flatten(-2)
    if pattern == "b ... d -> b d ...":
        return x.movedim(-1, 1)
    raise NotImplementedError(f"einops pattern {pattern!r} is not needed for inference")


class _DropPath(nn.Identity):
    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    for key, value in members.items():
        setattr(module, key, value)
    return module


def _stand_ins() -> dict[str, types.ModuleType]:
    layers = {"DropPath": _DropPath, "drop_path": lambda x, *_: x}
    modules = [
        _module("flash_attn", flash_attn_func=_dense_attention, flash_attn_varlen_kvpacked_func=varlen_attention),
        _module("timm"),
        _module("timm.models", register_model=lambda function: function),
        _module("timm.models.layers", **layers),
        _module("timm.layers", **layers),
        _module("timm.loss", SoftTargetCrossEntropy=type("SoftTargetCrossEntropy", (nn.Module,), {})),
        _module("pytz", timezone=lambda name: None),
        _module("imageio"),
        _module("torchvision", transforms=types.SimpleNamespace()),
        _module("einops", rearrange=_rearrange, reduce=_rearrange, pack=_dense_attention, unpack=_dense_attention),
    ]
    return {module.__name__: module for module in modules if not _installed(module.__name__)}


def _installed(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


class _FloatOnly:
    """``torch`` with bfloat16 replaced by float32."""

    bfloat16 = torch.float32

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _uncompiled(function: Any = None, **_: Any) -> Any:
    return function if callable(function) else lambda inner: inner


def import_official(path: Path) -> types.SimpleNamespace:
    """The official classes as ``Infinity``, ``vae_model`` and ``resolutions``, from a checkout at ``path``."""
    if not (path / "infinity" / "models" / "infinity.py").exists():
        raise ExportError(
            f"{path} is no checkout of the official repository (infinity/models/infinity.py is missing); "
            "get it with: git clone https://github.com/FoundationVision/Infinity"
        )
    sys.modules.update(_stand_ins())
    sys.path.insert(0, str(path))
    try:
        with mock.patch.object(torch, "compile", _uncompiled):
            transformer = importlib.import_module("infinity.models.infinity")
            vae = importlib.import_module("infinity.models.bsq_vae.vae")
            resolutions = importlib.import_module("infinity.utils.dynamic_resolution")
            basic = importlib.import_module("infinity.models.basic")
    finally:
        sys.path.remove(str(path))
    if transformer.fused_ada_layer_norm is None:
        raise ExportError("the official fused norm could not be imported, without which its results are wrong")
    basic.torch = _FloatOnly()
    return types.SimpleNamespace(
        Infinity=transformer.Infinity, vae_model=vae.vae_model, resolutions=resolutions.dynamic_resolution_h_w
    )
