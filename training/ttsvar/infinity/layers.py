"""Blocks of the bitwise visual autoregressive transformer (parameter names of Infinity's checkpoints).

Source: ``infinity/models/basic.py`` of FoundationVision/Infinity (``CrossAttnBlock``, ``SelfAttention``,
``CrossAttention``, ``FFN``) for the released options: shared adaLN, cosine attention, rotary positions in every layer.
Shapes: ``G`` groups (prompts, or cond/uncond), ``B`` candidates per group, ``L`` new tokens, ``P`` cached tokens,
``T`` text tokens, ``H`` heads of ``hd``; rows are group-major, ``R = G * B``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_LOG_SCALE = math.log(100)
EPSILON = 1e-6


def modulated_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """``LayerNorm(x) * (1 + scale) + shift`` without affine, in float32."""
    x = x.float()
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.pow(2).mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON) * (1 + scale.float()) + shift.float()


def affine_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return F.layer_norm(x.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def gated_add(x: Tensor, gamma: Tensor, update: Tensor) -> Tensor:
    """``x + gamma * update``, residual in float32."""
    return x + gamma.float() * update.float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs ``(2p, 2p+1)`` of ``[R, H, L, hd]`` by the angles of ``cos, sin [L, hd/2]``."""
    pairs = x.unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def normalise_and_rotate(x: Tensor, scale: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
    """L2-normalise over hd (eps 1e-12 on the norm), multiply by the head's scale ``[1, H, 1, 1]``, rotate."""
    x = x.float()
    x = x / x.pow(2).sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    if scale is not None:
        x = x * scale
    return rotate(x, cos, sin)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(q k^T * scale + mask) v with plain matrix products (exportable)."""
    scores = q @ k.transpose(-1, -2)
    if scale != 1.0:
        scores = scores * scale
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1) @ v


def training_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """The same as few batched products; on CPU its backward pass is 3x faster than the fused kernel's."""
    rows, heads, length, width = q.shape
    q, k, v = q.reshape(-1, length, width), k.reshape(rows * heads, -1, width), v.reshape(rows * heads, -1, width)
    if scale != 1.0:
        q = q * scale
    if mask is None:
        scores = torch.bmm(q, k.transpose(1, 2))
    else:
        mask = mask.to(q.dtype).expand(rows, heads, length, k.shape[1]).flatten(0, 1) if mask.ndim == 4 else mask
        scores = torch.baddbmm(mask.to(q.dtype), q, k.transpose(1, 2))
    return torch.bmm(scores.softmax(-1), v).view(rows, heads, length, width)


class SelfAttention(nn.Module):
    """Cosine attention over cached and new tokens."""

    zero_k_bias: Tensor
    attend = staticmethod(explicit_attention)  # exporters may put an equivalent operator here

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(4.0)))
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, past: tuple[Tensor, Tensor] | None, fused: bool
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``x`` ``[R, L, C]`` -> output ``[R, L, C]`` and this call's keys and values ``[R, H, L, hd]``."""
        bias = torch.cat([self.q_bias, self.zero_k_bias, self.v_bias])
        qkv = F.linear(x, self.mat_qkv.weight, bias)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in qkv.chunk(3, -1))
        scale = self.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp()
        q, k = normalise_and_rotate(q, scale, cos, sin), normalise_and_rotate(k, None, cos, sin)
        if fused:
            out = training_attention(q.to(v.dtype), k.to(v.dtype), v, mask, 1.0)
            new = (k, v)
        else:
            new = (k, v)
            if past is not None:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            out = self.attend(q, k, v, mask, 1.0)
        return self.proj(out.transpose(1, 2).flatten(2)), new


class CrossAttention(nn.Module):
    """Attention to the text; keys and values depend only on the prompt."""

    zero_k_bias: Tensor

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.mat_q = nn.Linear(width, width)
        self.mat_kv = nn.Linear(width, 2 * width, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def memory(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Text ``[G, T, C]`` -> keys ``[G, H, hd, T]`` (transposed) and values ``[G, H, T, hd]``."""
        kv = F.linear(text, self.mat_kv.weight, torch.cat([self.zero_k_bias, self.v_bias]))
        k, v = (y.unflatten(-1, (self.heads, -1)) for y in kv.chunk(2, -1))
        return k.permute(0, 2, 3, 1), v.transpose(1, 2)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor], text_bias: Tensor | None, fused: bool) -> Tensor:
        """``x`` ``[G, B*L, C]``; all candidates of a group share one product with the text keys."""
        q = self.mat_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = memory
        attend = training_attention if fused else explicit_attention
        bias = text_bias.to(q.dtype) if text_bias is not None else None
        out = attend(q, k.transpose(-1, -2), v, bias, self.scale)
        return self.proj(out.transpose(1, 2).flatten(2))


class AttentionPool(nn.Module):
    """One learned query over the text (``text_proj_for_sos.ca``)."""

    zero_k_bias: Tensor

    def __init__(self, text_width: int, width: int):
        super().__init__()
        self.heads = max(1, text_width // (128 if width <= 4096 else 64))
        head = width // self.heads
        self.scale = head**-0.5
        self.mat_q = nn.Parameter(torch.randn(1, self.heads, head) * head**-0.5)
        self.mat_kv = nn.Linear(text_width, 2 * width, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, text: Tensor, text_bias: Tensor | None) -> Tensor:
        """``[G, T, Ct]`` -> ``[G, C]``."""
        kv = F.linear(text, self.mat_kv.weight, torch.cat([self.zero_k_bias, self.v_bias]))
        k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in kv.chunk(2, -1))
        q = self.mat_q.to(k.dtype).transpose(0, 1).unsqueeze(0)
        out = explicit_attention(q, k, v, text_bias, self.scale)
        return self.proj(out.transpose(1, 2).flatten(1))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    """Self-attention and feed-forward with shared adaLN modulation, plain cross-attention in between."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.sa = SelfAttention(width, heads)
        self.ca = CrossAttention(width, heads)
        self.ca_norm = nn.LayerNorm(width, eps=EPSILON)
        self.ffn = FeedForward(width, hidden)
        self.ada_gss = nn.Parameter(torch.zeros(1, 1, 6, width))

    def forward(
        self,
        x: Tensor,
        gss: Tensor,
        memory: tuple[Tensor, Tensor],
        text_bias: Tensor | None,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None = None,
        past: tuple[Tensor, Tensor] | None = None,
        fused: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``x`` ``[G, B, L, C]``, ``gss`` ``[G, 6, C]`` -> same shape and new keys and values ``[R, H, L, hd]``."""
        modulation = (self.ada_gss.squeeze(1) + gss)[:, :, None, None]
        gamma1, gamma2, scale1, scale2, shift1, shift2 = modulation.unbind(1)
        update, new = self.sa(modulated_norm(x, scale1, shift1).flatten(0, 1), cos, sin, mask, past, fused)
        x = gated_add(x, gamma1, update.view_as(x))
        update = self.ca(affine_norm(x, self.ca_norm).flatten(1, 2), memory, text_bias, fused)
        x = x + update.view_as(x)
        x = gated_add(x, gamma2, self.ffn(modulated_norm(x, scale2, shift2)))
        return x, new
