"""T5-style text encoder with Hugging Face's ``T5EncoderModel`` parameter names and semantics.

RMSNorm before each sub-layer, no attention scaling, a relative position bias owned by the first layer and shared by
all, gated tanh-GELU feed-forward, final RMSNorm. Source: ``transformers/models/t5/modeling_t5.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TextConfig:
    vocab_size: int = 102
    d_model: int = 128
    d_kv: int = 32
    d_ff: int = 256
    num_layers: int = 2
    num_heads: int = 4
    buckets: int = 32
    max_distance: int = 128
    epsilon: float = 1e-6

    def huggingface(self) -> dict:
        """``config.json`` as T5 would have it."""
        return {
            "model_type": "t5", "architectures": ["T5EncoderModel"], "vocab_size": self.vocab_size,
            "d_model": self.d_model, "d_kv": self.d_kv, "d_ff": self.d_ff, "num_layers": self.num_layers,
            "num_heads": self.num_heads, "relative_attention_num_buckets": self.buckets,
            "relative_attention_max_distance": self.max_distance, "feed_forward_proj": "gated-gelu",
            "layer_norm_epsilon": self.epsilon, "dropout_rate": 0.0, "pad_token_id": 0, "eos_token_id": 1,
        }  # fmt: skip


class RmsNorm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def relative_bucket(distance: Tensor, buckets: int, max_distance: int) -> Tensor:
    """Bidirectional T5 bucket of ``distance = key - query``."""
    half = buckets // 2
    result = (distance > 0).long() * half
    distance = distance.abs()
    exact = half // 2
    large = exact + (
        torch.log(distance.float().clamp(min=1) / exact) / math.log(max_distance / exact) * (half - exact)
    ).to(torch.long)
    return result + torch.where(distance < exact, distance, large.clamp(max=half - 1))


class SelfAttention(nn.Module):
    """Projections without bias; the first layer also owns ``relative_attention_bias``."""

    def __init__(self, config: TextConfig, owns_bias: bool):
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.heads = config.num_heads
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if owns_bias:
            self.relative_attention_bias = nn.Embedding(config.buckets, config.num_heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        b, t, _ = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(b, t, self.heads, -1).transpose(1, 2)

        scores = split(self.q(x)) @ split(self.k(x)).transpose(-1, -2) + bias
        mixed = scores.float().softmax(-1).to(x.dtype) @ split(self.v(x))
        return self.o(mixed.transpose(1, 2).reshape(b, t, -1))


class AttentionLayer(nn.Module):
    def __init__(self, config: TextConfig, owns_bias: bool):
        super().__init__()
        self.SelfAttention = SelfAttention(config, owns_bias)
        self.layer_norm = RmsNorm(config.d_model, config.epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return x + self.SelfAttention(self.layer_norm(x), bias)


class GatedGelu(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class FeedForwardLayer(nn.Module):
    def __init__(self, config: TextConfig):
        super().__init__()
        self.DenseReluDense = GatedGelu(config)
        self.layer_norm = RmsNorm(config.d_model, config.epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.DenseReluDense(self.layer_norm(x))


class Block(nn.Module):
    def __init__(self, config: TextConfig, owns_bias: bool):
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config, owns_bias), FeedForwardLayer(config)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.layer[1](self.layer[0](x, bias))


class TextEncoder(nn.Module):
    """Ids ``[B, T]`` (and a mask ``[B, T]`` of real tokens when padded) -> states ``[B, T, d_model]``."""

    def __init__(self, config: TextConfig):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList([Block(config, i == 0) for i in range(config.num_layers)])
        self.encoder.final_layer_norm = RmsNorm(config.d_model, config.epsilon)
        self._initialise()

    def _initialise(self) -> None:
        c = self.config
        nn.init.normal_(self.shared.weight, std=1.0)
        for block in self.encoder.block:
            attention, dense = block.layer[0].SelfAttention, block.layer[1].DenseReluDense
            nn.init.normal_(attention.q.weight, std=(c.d_model * c.d_kv) ** -0.5)
            for linear in (attention.k, attention.v, dense.wi_0, dense.wi_1):
                nn.init.normal_(linear.weight, std=c.d_model**-0.5)
            nn.init.normal_(attention.o.weight, std=(c.num_heads * c.d_kv) ** -0.5)
            nn.init.normal_(dense.wo.weight, std=c.d_ff**-0.5)
        nn.init.normal_(self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight, std=0.1)

    def position_bias(self, length: int | Tensor, device: torch.device) -> Tensor:
        """``[1, H, T, T]``."""
        at = torch.arange(length, device=device)
        buckets = relative_bucket(at[None, :] - at[:, None], self.config.buckets, self.config.max_distance)
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        return table(buckets).permute(2, 0, 1)[None]

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.shared(ids)
        bias = self.position_bias(ids.shape[1], ids.device)
        if mask is not None:
            bias = bias + (~mask)[:, None, None, :].to(bias.dtype) * -1e9
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)
