"""Infinity: bitwise visual autoregressive text-to-image transformer, compact re-implementation.

Structure and state-dict names follow FoundationVision/Infinity (``infinity/models/infinity.py``) with the options of
all released checkpoints, so official weights load without renaming (``InfinityConfig.official``). The embedded
64-px model is the default configuration. Shapes are described in :mod:`ttsvar.infinity.layers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity.layers import EPSILON, AttentionPool, Block, modulated_norm
from ttsvar.infinity.schedule import Schedule

Pair = tuple[Tensor, Tensor]
IGNORED_KEYS = ("lvl_1L", "attn_bias_for_masking", "Infinity_visible_kvlen", "Infinity_invisible_qlen")

OFFICIAL_SHAPES = {  # depth, width, heads, token channels, block chunks
    "infinity_2b": (32, 2048, 16, 32, 8),
    "infinity_8b": (40, 3584, 28, 56, 8),
    "infinity_layer12": (12, 768, 8, 32, 4),
    "infinity_layer16": (16, 1152, 12, 32, 4),
    "infinity_layer24": (24, 1536, 16, 32, 4),
    "infinity_layer32": (32, 2080, 20, 32, 4),
    "infinity_layer40": (40, 2688, 24, 32, 4),
    "infinity_layer48": (48, 3360, 28, 32, 4),
}


@dataclass(frozen=True)
class InfinityConfig:
    depth: int = 5
    width: int = 256
    heads: int = 4
    text_channels: int = 128
    text_max_length: int = 32
    token_channels: int = 32
    block_chunks: int = 5
    mlp_ratio: float = 4.0
    levels: int = 15

    @staticmethod
    def official(name: str) -> InfinityConfig:
        """Released model types, and the sizes of the scaling study (``infinity_layer12`` to ``infinity_layer48``)."""
        depth, width, heads, channels, chunks = OFFICIAL_SHAPES[name]
        return InfinityConfig(depth, width, heads, 2048, 512, channels, chunks)

    @property
    def hidden(self) -> int:
        """Feed-forward width, a multiple of 256 (banker's rounding as in the original)."""
        return round(self.width * self.mlp_ratio / 256) * 256

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    def asdict(self) -> dict:
        return asdict(self)


@dataclass
class Condition:
    """Everything that depends only on the prompt.

    sos ``[G, C]``; gss ``[G, 6, C]``; head_ss ``[G, 2, C]``; memory: per layer keys ``[G, H, hd, T]`` and values
    ``[G, H, T, hd]``; text_bias ``[G, 1, 1, T]`` additive or None.
    """

    sos: Tensor
    gss: Tensor
    head_ss: Tensor
    memory: list[Pair]
    text_bias: Tensor | None


class _Chunk(nn.Module):
    """A group of blocks; gives the names ``block_chunks.A.module.B``."""

    def __init__(self, blocks: Sequence[Block]):
        super().__init__()
        self.module = nn.ModuleList(blocks)


class _TextPool(nn.Module):
    def __init__(self, text_width: int, width: int):
        super().__init__()
        self.ca = AttentionPool(text_width, width)


class _RmsNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.weight


class _AdaLinear(nn.Sequential):
    """SiLU, then a Linear under index 1."""

    def __init__(self, width: int, out: int):
        super().__init__(nn.SiLU(), nn.Linear(width, out))


class _HeadNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.ada_lin = _AdaLinear(width, 2 * width)


class Infinity(nn.Module):
    """See module docstring; ``forward`` is teacher-forced, ``step`` is one cached scale."""

    def __init__(self, config: InfinityConfig | None = None):
        super().__init__()
        c = self.config = config or InfinityConfig()
        if c.width % c.heads or c.head_dim % 4 or c.depth % c.block_chunks or c.block_chunks < 2:
            raise ValueError(f"unsupported shape: {c}")
        self.cfg_uncond = nn.Parameter(torch.randn(c.text_max_length, c.text_channels))
        self.pos_start = nn.Parameter(torch.zeros(1, 1, c.width))
        self.text_norm = _RmsNorm(c.text_channels)
        self.text_proj_for_sos = _TextPool(c.text_channels, c.width)
        self.text_proj_for_ca = nn.Sequential(
            nn.Linear(c.text_channels, c.width), nn.GELU(approximate="tanh"), nn.Linear(c.width, c.width)
        )
        self.lvl_embed = nn.Embedding(c.levels, c.width)
        self.word_embed = nn.Linear(c.token_channels, c.width)
        self.shared_ada_lin = _AdaLinear(c.width, 6 * c.width)
        self.head_nm = _HeadNorm(c.width)
        self.head = nn.Linear(c.width, 2 * c.token_channels)
        per_chunk = c.depth // c.block_chunks
        self.block_chunks = nn.ModuleList(
            _Chunk([Block(c.width, c.heads, c.hidden) for _ in range(per_chunk)]) for _ in range(c.block_chunks)
        )
        self.reset()

    def reset(self) -> None:
        """Start every block as the identity and the head at zero: fast and stable for short trainings."""
        width = self.config.width
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for linear in (self.shared_ada_lin[1], self.head_nm.ada_lin[1]):
            nn.init.normal_(linear.weight, std=0.1 * width**-0.5)
        nn.init.zeros_(self.head.weight)
        nn.init.normal_(self.lvl_embed.weight, std=0.5)
        nn.init.normal_(self.pos_start, std=0.02)
        for block in self.blocks:
            for projection in (block.sa.proj, block.ca.proj, block.ffn.fc2):
                nn.init.zeros_(projection.weight)
            with torch.no_grad():
                block.ada_gss[:, :, :2] = 1.0

    @property
    def blocks(self) -> list[Block]:
        return [block for chunk in self.block_chunks for block in chunk.module]

    def front(self, text: Tensor, text_bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Text states ``[G, T, Ct]`` -> sos, gss, head_ss, and the input ``[G, T, C]`` of all cross-attentions."""
        text = self.text_norm(text)
        sos = self.text_proj_for_sos.ca(text, text_bias).float()
        memory_input = self.text_proj_for_ca(text)
        gss = self.shared_ada_lin(sos).float().unflatten(-1, (6, -1))
        head_ss = self.head_nm.ada_lin(sos).float().unflatten(-1, (2, -1))
        return sos, gss, head_ss, memory_input

    def condition(self, text: Tensor, text_bias: Tensor | None = None) -> Condition:
        """Text states ``[G, T, Ct]`` (raw encoder output or ``cfg_uncond`` rows) -> :class:`Condition`."""
        sos, gss, head_ss, memory_input = self.front(text, text_bias)
        return Condition(sos, gss, head_ss, [b.ca.memory(memory_input) for b in self.blocks], text_bias)

    def unconditional(self, length: int) -> Tensor:
        """``[1, T, Ct]``: the learned stand-in for a prompt of ``length`` tokens."""
        return self.cfg_uncond[:length][None]

    def folded_head(self) -> tuple[Tensor, Tensor]:
        """Head for the difference ``logit(bit=1) - logit(bit=0)``: weight ``[dv, C]``, bias ``[dv]``."""
        return self.head.weight[1::2] - self.head.weight[0::2], self.head.bias[1::2] - self.head.bias[0::2]

    def output(self, x: Tensor, head_ss: Tensor) -> Tensor:
        """Hidden ``[G, B, L, C]`` -> bit-logit differences ``[G, B, L, dv]``."""
        scale, shift = head_ss[:, :, None, None].unbind(1)
        weight, bias = self.folded_head()
        return F.linear(modulated_norm(x, scale, shift), weight, bias)

    def first_input(self, condition: Condition) -> Tensor:
        """``x_add`` of scale 0, ``[G, 1, C]``: used with ``z = 0``."""
        start = condition.sos[:, None] + self.pos_start
        return start + self.lvl_embed.weight[0] - self.word_embed.bias

    def level_input(self, scale: int, groups: int) -> Tensor:
        """``x_add`` of a later scale, ``[G, 1, C]``."""
        return self.lvl_embed.weight[scale].expand(groups, 1, -1)

    def step(
        self, z: Tensor, x_add: Tensor, rope: Pair, condition: Condition, past: list[Pair] | None
    ) -> tuple[Tensor, list[Pair]]:
        """One scale: ``z`` ``[B, L, dv]``, ``x_add`` ``[G, 1, C]`` -> differences ``[G, B, L, dv]``, new K/V.

        ``z`` may also be ``[G, B, L, dv]`` when the groups are different prompts.
        """
        x = self.word_embed(z) + x_add[:, None]
        new: list[Pair] = []
        for i, block in enumerate(self.blocks):
            x, pair = block(
                x, condition.gss, condition.memory[i], condition.text_bias, *rope, None, past[i] if past else None
            )
            new.append(pair)
        return self.output(x, condition.head_ss), new

    def forward(
        self, text: Tensor, text_bias: Tensor | None, inputs: Tensor, schedule: Schedule, tables: tuple
    ) -> Tensor:
        """Teacher-forced differences ``[N, sum L, dv]`` of a batch of ``N`` prompts with one image each.

        text ``[N, T, Ct]``; inputs ``[N, sum L - 1, dv]`` for all scales but the first; tables: cos, sin and the
        additive block-causal mask for the whole sequence (see :class:`Schedule`).
        """
        condition = self.condition(text, text_bias)
        start = condition.sos[:, None] + self.pos_start
        x = torch.cat([start, self.word_embed(inputs).float()], 1)
        level = torch.cat([torch.full((n,), i) for i, n in enumerate(schedule.lengths)])[: x.shape[1]]
        x = (x + self.lvl_embed(level))[:, None]
        cos, sin, mask = tables
        for i, block in enumerate(self.blocks):
            x, _ = block(x, condition.gss, condition.memory[i], text_bias, cos, sin, mask, None, True)
        return self.output(x, condition.head_ss)[:, 0]


def load_official(model: Infinity, state: dict[str, Tensor]) -> None:
    """Load a checkpoint strictly; tolerates buffers that are irrelevant here and the flash-kernel scale shape."""
    state = {k: v for k, v in state.items() if not k.endswith(IGNORED_KEYS)}
    for key, value in state.items():
        if key.endswith("scale_mul_1H11"):
            state[key] = value.reshape(1, -1, 1, 1)
    model.load_state_dict(state, strict=True)
