"""The cached step in operators that ONNX Runtime computes at once, for export.

The same numbers as :meth:`Infinity.step` up to rounding. What differs is how often activations go through memory: norms, rotation
and GELU are one operator each, query, key and value come out of products of their own and need no slicing, and all rows of a
guidance group are one axis, so that modulation is a product with a row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity.layers import EPSILON, MAX_LOG_SCALE, Block, affine_norm, explicit_attention, rotate
from ttsvar.infinity.model import Infinity, Pair


class _Rotation(torch.autograd.Function):
    """Rotates ``[R, L, H * hd]`` by the angles of ``cos, sin [L, hd / 2]``."""

    @staticmethod
    def forward(ctx, x: Tensor, start: Tensor, cos: Tensor, sin: Tensor, heads: int) -> Tensor:  # noqa: ANN001
        return rotate(x.unflatten(2, (heads, -1)).transpose(1, 2), cos, sin).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g, x, start, cos, sin, heads: int):  # noqa: ANN001, ANN205
        out = g.op("com.microsoft::RotaryEmbedding", x, start, cos, sin, interleaved_i=1, num_heads_i=heads)
        out.setType(x.type())
        return out


class _BiasGelu(torch.autograd.Function):
    """GELU by tanh of ``x + bias``."""

    @staticmethod
    def forward(ctx, x: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN001
        return F.gelu(x + bias, approximate="tanh")

    @staticmethod
    def symbolic(g, x, bias):  # noqa: ANN001, ANN205
        out = g.op("com.microsoft::FastGelu", x, bias)
        out.setType(x.type())
        return out


class _Unit(torch.autograd.Function):
    """Vectors of length 1 along the last axis."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        return F.normalize(x, dim=-1)

    @staticmethod
    def symbolic(g, x):  # noqa: ANN001, ANN205
        out = g.op("LpNormalization", x, axis_i=-1, p_i=2)
        out.setType(x.type())
        return out


class FusedStep(nn.Module):
    """Inputs and outputs of :class:`ttsvar.infinity.graphs.StepGraph`."""

    def __init__(self, model: Infinity):
        super().__init__()
        self.model = model

    def forward(self, z, x_add, rope_cos, rope_sin, gss, head_ss, text_bias, *rest):  # noqa: ANN001, ANN002, ANN201
        model = self.model
        depth, width = model.config.depth, model.config.width
        batch, length = z.shape[0], z.shape[1]
        pairs = [(rest[2 * i], rest[2 * i + 1]) for i in range(2 * depth)]
        x = model.word_embed(z).view(1, batch * length, width) + x_add
        rope = (torch.zeros(1, dtype=torch.int64), rope_cos, rope_sin)
        new: list[Pair] = []
        for block, memory, past in zip(model.blocks, pairs[:depth], pairs[depth:]):
            x, pair = _block(block, x, length, gss, memory, text_bias, rope, past)
            new.append(pair)
        weight, bias = model.folded_head()
        scale, shift = head_ss[:, :, None].unbind(1)
        delta = F.linear(_modulated(x, scale, shift), weight, bias)
        return delta.view(-1, batch, length, weight.shape[0]), *(t for pair in new for t in pair)


def _modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.layer_norm(x, (int(x.shape[2]),), eps=EPSILON) * (1 + scale) + shift


def _block(
    block: Block, x: Tensor, length: int, gss: Tensor, memory: Pair, text_bias: Tensor, rope: tuple, past: Pair
) -> tuple[Tensor, Pair]:
    """``x`` ``[G, B * L, C]``; otherwise as :meth:`Block.forward`."""
    gamma1, gamma2, scale1, scale2, shift1, shift2 = (block.ada_gss.squeeze(1) + gss)[:, :, None].unbind(1)
    update, new = _self_attention(block.sa, _modulated(x, scale1, shift1), length, rope, past)
    x = x + gamma1 * update.view(-1, x.shape[1], int(x.shape[2]))
    x = x + block.ca(affine_norm(x, block.ca_norm), memory, text_bias, False)
    h = F.linear(_modulated(x, scale2, shift2), block.ffn.fc1.weight)
    return x + gamma2 * block.ffn.fc2(_BiasGelu.apply(h, block.ffn.fc1.bias)), new


def _self_attention(sa: nn.Module, x: Tensor, length: int, rope: tuple, past: Pair) -> tuple[Tensor, Pair]:
    heads, width = sa.heads, int(x.shape[2])
    rows = x.view(-1, length, width)

    def by_head(y: Tensor) -> Tensor:
        return y.view(-1, length, heads, width // heads)

    weights = sa.mat_qkv.weight.chunk(3)
    q, k, v = (F.linear(rows, weight, bias) for weight, bias in zip(weights, (sa.q_bias, None, sa.v_bias)))
    scale = sa.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp().view(1, 1, heads, 1)
    q, k = _Unit.apply(by_head(q)) * scale, _Unit.apply(by_head(k))
    q, k = (by_head(_Rotation.apply(y.view(-1, length, width), *rope, heads)).transpose(1, 2) for y in (q, k))
    v = by_head(v).transpose(1, 2)
    out = explicit_attention(q, torch.cat([past[0], k], 2), torch.cat([past[1], v], 2), None, 1.0)
    return sa.proj(out.transpose(1, 2).reshape(-1, length, width)), (k, v)
