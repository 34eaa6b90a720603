"""A second, straightforward implementation of Infinity for tests: no caches, no modules, every scale sees its prefix.

Written from the architecture's description alone and working on a bare state dict, so that it shares no code with
``ttsvar.infinity``: one pass over the whole sequence under a block-causal mask, one candidate and one text at a time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def _linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, scale: float, mask: Tensor | None = None) -> Tensor:
    """q ``[Tq, C]``, k and v ``[Tk, C]``, head by head."""
    out = []
    for a, b, c in zip(q.chunk(heads, 1), k.chunk(heads, 1), v.chunk(heads, 1)):
        scores = a @ b.T * scale
        out.append(torch.softmax(scores if mask is None else scores.masked_fill(~mask, -math.inf), 1) @ c)
    return torch.cat(out, 1)


def _keys_values(state: State, name: str, memory: Tensor) -> tuple[Tensor, Tensor]:
    k, v = F.linear(memory, state[f"{name}.mat_kv.weight"]).chunk(2, 1)
    return k, v + state[f"{name}.v_bias"]


def _turn(x: Tensor, positions: Tensor, heads: int) -> Tensor:
    """Rotate ``[N, C]`` by (y, x) ``positions [N, 2]`` with complex numbers."""
    x = x.unflatten(1, (heads, -1))
    half = x.shape[2] // 2
    frequency = 10000.0 ** (-torch.arange(0, half, 2) / half)
    angle = torch.cat([positions[:, :1] * frequency, positions[:, 1:] * frequency], 1)
    turned = torch.view_as_complex(x.unflatten(2, (-1, 2)).contiguous()) * torch.polar(torch.ones(()), angle)[:, None]
    return torch.view_as_real(turned).flatten(1)


def positions(grids: list[tuple[int, int]], reference: tuple[int, int]) -> Tensor:
    """``[sum L, 2]``: rounded half to even, in float32."""
    rows = []
    for h, w in grids:
        y = torch.round(torch.arange(h, dtype=torch.float32) * (reference[0] / h))
        x = torch.round(torch.arange(w, dtype=torch.float32) * (reference[1] / w))
        rows.append(torch.cartesian_prod(y, x).view(h * w, 2))
    return torch.cat(rows)


def deltas(
    state: State, text: Tensor, inputs: list[Tensor], grids: list[tuple[int, int]], reference: tuple[int, int],
    heads: int, depth: int, per_chunk: int,
) -> list[Tensor]:  # fmt: skip
    """Bit-logit differences per scale ``[L, dv]`` of one candidate under one text ``[T, Ct]``."""
    text = text * torch.rsqrt((text**2).mean(1, keepdim=True) + 1e-6) * state["text_norm.weight"]
    pool = "text_proj_for_sos.ca"
    k, v = _keys_values(state, pool, text)
    query = state[f"{pool}.mat_q"].flatten(1)
    pool_heads = state[f"{pool}.mat_q"].shape[1]
    scale = (query.shape[1] // pool_heads) ** -0.5
    sos = _linear(state, f"{pool}.proj", _attend(query, k, v, pool_heads, scale))
    memory = _linear(state, "text_proj_for_ca.0", text)
    memory = _linear(state, "text_proj_for_ca.2", F.gelu(memory, approximate="tanh"))
    width = sos.shape[1]
    shared = _linear(state, "shared_ada_lin.1", F.silu(sos)).view(6, width)
    head_scale, head_shift = _linear(state, "head_nm.ada_lin.1", F.silu(sos)).view(2, width)

    x = torch.cat([sos + state["pos_start"][0], *(_linear(state, "word_embed", z) for z in inputs[1:])])
    level = torch.repeat_interleave(torch.arange(len(grids)), torch.tensor([h * w for h, w in grids]))[: len(x)]
    x = x + state["lvl_embed.weight"][level]
    mask = level[:, None] >= level[None, :]
    where = positions(grids, reference)[: len(x)]
    for i in range(depth):
        name = f"block_chunks.{i // per_chunk}.module.{i % per_chunk}"
        part = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        gamma1, gamma2, scale1, scale2, shift1, shift2 = part["ada_gss"].view(6, width) + shared
        h = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale1) + shift1
        q, k, v = F.linear(h, part["sa.mat_qkv.weight"]).chunk(3, 1)
        q, k = ((y + b).unflatten(1, (heads, -1)) for y, b in ((q, part["sa.q_bias"]), (k, torch.zeros(width))))
        q, k = F.normalize(q, dim=2), F.normalize(k, dim=2)
        q = q * part["sa.scale_mul_1H11"].view(1, heads, 1).clamp_max(math.log(100)).exp()
        q, k = _turn(q.flatten(1), where, heads), _turn(k.flatten(1), where, heads)
        x = x + gamma1 * _linear(part, "sa.proj", _attend(q, k, v + part["sa.v_bias"], heads, 1.0, mask))
        h = F.layer_norm(x, (width,), part["ca_norm.weight"], part["ca_norm.bias"], 1e-6)
        k, v = _keys_values(part, "ca", memory)
        x = x + _linear(part, "ca.proj", _attend(_linear(part, "ca.mat_q", h), k, v, heads, (width // heads) ** -0.5))
        h = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale2) + shift2
        x = x + gamma2 * _linear(part, "ffn.fc2", F.gelu(_linear(part, "ffn.fc1", h), approximate="tanh"))
    logits = _linear(state, "head", F.layer_norm(x, (width,), eps=1e-6) * (1 + head_scale) + head_shift)
    return list((logits[:, 1::2] - logits[:, 0::2]).split([h * w for h, w in grids[: len(inputs)]]))


def code_walk(
    bits: list[Tensor], grids: list[tuple[int, int]], channels: int, patchify: bool
) -> tuple[list[Tensor], Tensor]:
    """Bits per scale ``[L, dv]`` of one candidate -> inputs ``[L, dv]`` and the final latent, cell by cell."""
    factor = 2 if patchify else 1
    size = [(h * factor, w * factor) for h, w in grids]
    total = torch.zeros(channels, *size[-1])
    inputs = [torch.zeros(1, bits[0].shape[1])]
    for scale, (h, w) in enumerate(grids):
        code = torch.zeros(channels, *size[scale])
        for token in range(h * w):
            y, x = divmod(token, w)
            for channel, bit in enumerate(bits[scale][token].tolist()):
                c, dy, dx = (channel // 4, channel % 4 // 2, channel % 2) if patchify else (channel, 0, 0)
                code[c, factor * y + dy, factor * x + dx] = (2 * bit - 1) / math.sqrt(channels)
        total = total + _bilinear(code, size[-1])
        if scale + 1 < len(grids):
            seen = _bilinear(total, size[scale + 1])
            hh, ww = grids[scale + 1]
            seen = seen.view(channels, hh, factor, ww, factor).permute(1, 3, 0, 2, 4)
            inputs.append(seen.reshape(hh * ww, channels * factor**2))
    return inputs, total


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Half-pixel centres, clamped at the edge, no antialiasing."""
    for axis, out in ((1, size[0]), (2, size[1])):
        count = x.shape[axis]
        at = ((torch.arange(out, dtype=torch.float64) + 0.5) * count / out - 0.5).clamp_min(0)
        low = at.floor().long()
        share = (at - low).float().view(-1, *[1] * (2 - axis))
        high = (low + 1).clamp_max(count - 1)
        x = x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share
    return x
