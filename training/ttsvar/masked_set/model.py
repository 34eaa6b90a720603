"""Masked autoregressive model of 8x8 narrow latents (MAR): an encoder that sees known tokens and a buffer, a decoder over
all positions, and a small net that denoises each token by itself, given the decoder's vector."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.generator import CLOSED
from ttsvar.infinity.layers import modulated_norm
from ttsvar.latent.trunk import TOKENS, Prompt, TimeEmbedding, Trunk

BUFFER = 8
ENCODER_BLOCKS = 2
#: Predicted clean tokens are clamped to this; they have unit variance.
CLAMP = 4.0


def reveals(tokens: int, stages: int) -> list[int]:
    """Tokens that each stage reveals: ``floor(N cos(pi/2 (s+1)/K))`` stay masked, at least one less each time (MAR)."""
    masked, out = tokens, []
    for stage in range(stages):
        left = 0 if stage == stages - 1 else int(tokens * math.cos(math.pi / 2 * (stage + 1) / stages))
        left = 0 if stage == stages - 1 else max(1, min(masked - 1, left))
        out.append(masked - left)
        masked = left
    return out


def signal(time: Tensor | float) -> Tensor:
    """Cosine schedule: share of the variance that is signal at ``time`` in [0, 1]."""
    time = torch.as_tensor(time, dtype=torch.float64)
    return torch.cos(math.pi / 2 * (time + 0.008) / 1.008) ** 2 / math.cos(math.pi / 2 * 0.008 / 1.008) ** 2


class HeadBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        nn.init.zeros_(self.modulation[1].weight)
        nn.init.zeros_(self.modulation[1].bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.modulation(condition).chunk(3, -1)
        return x + gate * self.mlp(modulated_norm(x, scale, shift))


class DiffusionHead(nn.Module):
    """Noise of a token ``[N, d]`` at a time, given the decoder's vector ``[N, C]``."""

    def __init__(self, channels: int, source: int, width: int = 192, blocks: int = 3):
        super().__init__()
        self.time = TimeEmbedding(width)
        nn.init.normal_(self.time.mlp[2].weight, std=0.02)
        self.source = nn.Linear(source, width)
        self.into = nn.Linear(channels, width)
        self.blocks = nn.ModuleList(HeadBlock(width) for _ in range(blocks))
        self.out = nn.Linear(width, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor, vector: Tensor) -> Tensor:
        condition = self.source(vector) + self.time(time)
        x = self.into(x)
        for block in self.blocks:
            x = block(x, condition)
        flat = torch.zeros_like(x[..., :1])
        return self.out(modulated_norm(x, flat, flat))


EDGE = 3.0


def normal_levels(count: int) -> Tensor:
    """Means of a normal variable's ``count`` equally likely parts, the outermost cut at three deviations (TokenBridge)."""
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    inner = normal.icdf(torch.arange(1, count, dtype=torch.float64) / count)
    edges = torch.cat([torch.tensor([-EDGE], dtype=torch.float64), inner, torch.tensor([EDGE], dtype=torch.float64)])
    density = normal.log_prob(edges).exp()
    return (density[:-1] - density[1:]) / (normal.cdf(edges[1:]) - normal.cdf(edges[:-1]))


class CausalBlock(nn.Module):
    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulation[1].weight)
        nn.init.zeros_(self.modulation[1].bias)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(condition)[:, None].chunk(6, -1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(modulated_norm(x, scale1, shift1)).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + mask
        x = x + gate1 * self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + gate2 * self.mlp(modulated_norm(x, scale2, shift2))


class CategoricalHead(nn.Module):
    """Levels of a token's channels, one after the other (TokenBridge), given the decoder's vector ``[N, C]``.

    Both the start and the blocks read the vector; there is no time, so neither training nor drawing embeds one.
    """

    def __init__(self, channels: int, source: int, levels: int = 16, width: int = 96, blocks: int = 2):
        super().__init__()
        self.channels, self.levels = channels, levels
        self.embed = nn.Embedding(channels * levels + 1, width)  # numbered through the channels; the last one starts
        self.source = nn.Linear(source, width)
        self.blocks = nn.ModuleList(CausalBlock(width) for _ in range(blocks))
        self.out = nn.Parameter(torch.zeros(channels, width, levels))

    def forward(self, read: Tensor, vector: Tensor) -> Tensor:
        """``read`` ``[N, n]``: the start and ``n - 1`` levels -> logits of channels 0 to n - 1 in order ``[N, n, levels]``."""
        length = read.shape[1]
        condition = self.source(vector)
        x = self.embed(read) + condition[:, None]
        at = torch.arange(self.channels)
        mask = torch.zeros(self.channels, self.channels).masked_fill(at[:, None] < at[None], -1e4)[:length, :length]
        for block in self.blocks:
            x = block(x, condition, mask)
        flat = torch.zeros_like(x[..., :1])
        return torch.einsum("ntw,twl->ntl", modulated_norm(x, flat, flat), self.out[:length])


class MaskedSet(nn.Module):
    def __init__(
        self, channels: int = 8, trunk: Trunk | None = None, head: int = 192, levels: int = 0, order: list[int] | None = None
    ):
        """``levels``: of a categorical head of width ``head``, which draws channels in ``order``; 0: a diffusion head."""
        super().__init__()
        self.channels, self.levels = channels, levels
        self.order = order or list(range(channels))
        self.trunk = trunk or Trunk()
        width = self.trunk.width
        self.embed = nn.Linear(channels, width)
        self.buffer = nn.Parameter(torch.randn(BUFFER, width) * 0.02)
        self.mask = nn.Parameter(torch.randn(width) * 0.02)
        self.place = nn.Parameter(torch.zeros(TOKENS, width))
        self.head = CategoricalHead(channels, width, levels, head) if levels else DiffusionHead(channels, width, head)

    def encoded(
        self, x: Tensor, known: Tensor, prompt: Prompt, rope: tuple[Tensor, Tensor], context: Tensor | None = None,
        hidden: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Buffer ``[G, B, 8, C]`` and canvas ``[G, B, N, C]`` after the encoder; ``x``: embedded tokens.

        context: embedded tokens ``[G, B, n, C]`` of another picture, which stand between them; ``rope`` has theirs first.
        hidden: added to what they score as keys.
        """
        groups, batch = x.shape[:2]
        start = (self.buffer + prompt.sos[:, None])[:, None].expand(groups, batch, BUFFER, -1)
        front, closed = start, torch.zeros_like(start[..., 0])
        if context is not None:
            front = torch.cat([start, context], 2)
            closed = torch.cat([closed, torch.zeros_like(context[..., 0]) + (0 if hidden is None else hidden)], 2)
        # What is not known is nobody's key in the encoder.
        closed = torch.cat([closed, (1 - known) * CLOSED], 2).flatten(0, 1)[:, None, None]
        x, _ = self.trunk.blocks(torch.cat([front, x], 2), prompt, cornered(rope), closed, None, 0, ENCODER_BLOCKS)
        return x[:, :, :BUFFER], x[:, :, front.shape[2] :]

    def decoded(
        self, start: Tensor, x: Tensor, known: Tensor, masked: Tensor, prompt: Prompt, rope: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Vectors of all positions ``[G, B, N, C]``; ``masked`` stands where nothing is known."""
        known = known[..., None]
        x = torch.cat([start, x * known + masked * (1 - known)], 2)
        x, vector = self.trunk.blocks(x, prompt, cornered(rope), None, None, ENCODER_BLOCKS)
        return self.trunk.output(x[:, :, BUFFER:], vector)

    def forward(self, tokens: Tensor, known: Tensor, prompt: Prompt) -> Tensor:
        """``tokens`` ``[G, B, 64, d]``, ``known`` ``[G, B, 64]`` (0 or 1) -> decoder vectors ``[G, B, 64, C]``."""
        rope = self.trunk.rope()
        x = self.embed(tokens * known[..., None]) + self.trunk.level
        start, x = self.encoded(x, known, prompt, rope)
        return self.decoded(start, x, known, self.mask + self.trunk.level, prompt, rope) + self.place


def cornered(rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Tables with the buffer's in front, which stands at the corner."""
    return tuple(torch.cat([table[:1].expand(BUFFER, -1), table]) for table in rope)


def load(path: Path | str) -> tuple[MaskedSet, dict]:
    saved = load_checkpoint(path)
    levels = saved.get("levels", 0)
    model = MaskedSet(saved["channels"], None, 96 if levels else 192, levels, saved.get("order"))
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
