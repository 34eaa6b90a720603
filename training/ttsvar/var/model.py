"""VAR's transformer under the released parameter names: cosine attention, adaLN by class, absolute positions.

Source: ``models/var.py`` and ``models/basic_var.py`` of FoundationVision/VAR, with the options of all released checkpoints
(``attn_l2_norm=True``; ``shared_aln`` for d36). Shapes as in :mod:`ttsvar.infinity.layers`: ``G`` groups (classes, or
conditional and unconditional), ``B`` candidates of each, ``L`` new tokens, ``R = G * B`` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity import layers
from ttsvar.infinity.layers import MAX_LOG_SCALE, FeedForward, explicit_attention, training_attention

Pair = tuple[Tensor, Tensor]
BUFFERS = ("lvl_1L", "attn_bias_for_masking")
SIDES_256 = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
SIDES_512 = (1, 2, 3, 4, 6, 9, 13, 18, 24, 32)


@dataclass(frozen=True)
class VarConfig:
    """``width = 64 * depth`` and ``heads = depth`` in all released models."""

    depth: int = 4
    classes: int = 80
    vocabulary: int = 1024
    channels: int = 32
    sides: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    shared_adaln: bool = False

    @staticmethod
    def official(name: str) -> VarConfig:
        """``d16``, ``d20``, ``d24``, ``d30`` (256 px) and ``d36`` (512 px, shared adaLN)."""
        depth = {"d16": 16, "d20": 20, "d24": 24, "d30": 30, "d36": 36}[name]
        large = depth == 36
        return VarConfig(depth, 1000, 4096, 32, SIDES_512 if large else SIDES_256, large)

    @property
    def width(self) -> int:
        return 64 * self.depth

    @property
    def heads(self) -> int:
        return self.depth

    @property
    def lengths(self) -> list[int]:
        return [side * side for side in self.sides]

    def asdict(self) -> dict:
        return asdict(self)


class SelfAttention(nn.Module):
    zero_k_bias: Tensor
    attend = staticmethod(explicit_attention)

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), 4.0).log())
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None, past: Pair | None, fused: bool) -> tuple[Tensor, Pair]:
        """``[R, L, C]`` -> the same, and this call's keys and values ``[R, H, L, hd]``."""
        qkv = F.linear(x, self.mat_qkv.weight, torch.cat([self.q_bias, self.zero_k_bias, self.v_bias]))
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in qkv.chunk(3, -1))
        q, k = F.normalize(q.float(), dim=-1), F.normalize(k.float(), dim=-1)
        q = q * self.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp()
        new = (k, v)
        if fused:
            out = training_attention(q.to(v.dtype), k.to(v.dtype), v, mask, 1.0)
        else:
            if past is not None:
                k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
            out = self.attend(q, k, v, mask, 1.0)
        return self.proj(out.transpose(1, 2).flatten(2)), new


class Block(nn.Module):
    def __init__(self, width: int, heads: int, shared: bool):
        super().__init__()
        self.attn, self.ffn = SelfAttention(width, heads), FeedForward(width, 4 * width)
        if shared:
            self.ada_gss = nn.Parameter(torch.randn(1, 1, 6, width) * width**-0.5)
        else:
            self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def modulation(self, condition: Tensor, shared: Tensor | None) -> Tensor:
        """Class vectors ``[G, C]`` (or the shared projection ``[G, 6, C]``) -> ``[G, 6, C]``."""
        return self.ada_gss[0] + shared if shared is not None else self.ada_lin(condition).unflatten(-1, (6, -1))

    def forward(
        self, x: Tensor, gss: Tensor, mask: Tensor | None = None, past: Pair | None = None, fused: bool = False
    ) -> tuple[Tensor, Pair]:
        """``x`` ``[G, B, L, C]``, ``gss`` ``[G, 6, C]``."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = gss.float()[:, :, None, None].unbind(1)
        update, new = self.attn(layers.modulated_norm(x, scale1, shift1).flatten(0, 1), mask, past, fused)
        x = layers.gated_add(x, gamma1, update.view_as(x))
        return layers.gated_add(x, gamma2, self.ffn(layers.modulated_norm(x, scale2, shift2))), new


class _HeadNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.ada_lin = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))


@dataclass
class Condition:
    """What depends on the class alone: sos ``[G, C]``, modulation ``[G, depth, 6, C]``, head ``[G, 2, C]``."""

    sos: Tensor
    gss: Tensor
    head_ss: Tensor


class Var(nn.Module):
    """``forward`` is teacher-forced, ``step`` is one cached scale."""

    def __init__(self, config: VarConfig | None = None):
        super().__init__()
        c = self.config = config or VarConfig()
        self.word_embed = nn.Linear(c.channels, c.width)
        self.class_emb = nn.Embedding(c.classes + 1, c.width)
        self.pos_start = nn.Parameter(torch.zeros(1, 1, c.width))
        self.pos_1LC = nn.Parameter(torch.zeros(1, sum(c.lengths), c.width))
        self.lvl_embed = nn.Embedding(len(c.sides), c.width)
        self.shared_ada_lin = (
            nn.Sequential(nn.SiLU(), nn.Linear(c.width, 6 * c.width)) if c.shared_adaln else nn.Identity()
        )
        self.blocks = nn.ModuleList(Block(c.width, c.heads, c.shared_adaln) for _ in range(c.depth))
        self.head_nm = _HeadNorm(c.width)
        self.head = nn.Linear(c.width, c.vocabulary)

    def reset(self) -> None:
        """Blocks start as the identity and the head at zero: fast and stable for short trainings."""
        width = self.config.width
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias) if module.bias is not None else None
        nn.init.normal_(self.class_emb.weight, std=0.5)
        nn.init.normal_(self.lvl_embed.weight, std=0.5)
        nn.init.normal_(self.pos_1LC, std=0.5)
        nn.init.zeros_(self.head.weight)
        nn.init.normal_(self.head_nm.ada_lin[1].weight, std=0.1 * width**-0.5)
        for block in self.blocks:
            nn.init.zeros_(block.attn.proj.weight)
            nn.init.zeros_(block.ffn.fc2.weight)
            nn.init.normal_(block.ada_lin[1].weight, std=0.1 * width**-0.5)
            with torch.no_grad():
                block.ada_lin[1].bias[: 2 * width] = 1.0

    def condition(self, labels: Tensor) -> Condition:
        """Labels ``[G]``; the number of classes stands for none."""
        sos = self.class_emb(labels)
        shared = self.shared_ada_lin(sos).unflatten(-1, (6, -1)) if self.config.shared_adaln else None
        gss = torch.stack([block.modulation(sos, shared) for block in self.blocks], 1)
        return Condition(sos, gss, self.head_nm.ada_lin(sos).unflatten(-1, (2, -1)))

    def positions(self) -> Tensor:
        """Level and position embeddings of all tokens, ``[sum L, C]``."""
        level = torch.cat([torch.full((n,), i) for i, n in enumerate(self.config.lengths)])
        return self.lvl_embed(level) + self.pos_1LC[0]

    def output(self, x: Tensor, head_ss: Tensor) -> Tensor:
        """Hidden ``[G, B, L, C]`` -> logits ``[G, B, L, V]``."""
        scale, shift = head_ss[:, :, None, None].unbind(1)
        return self.head(layers.modulated_norm(x, scale, shift))

    def step(self, z: Tensor, x_add: Tensor, condition: Condition, past: Sequence[Pair] | None) -> tuple[Tensor, list[Pair]]:
        """``z`` ``[B, L, d]``, ``x_add`` ``[G, L, C]`` -> logits ``[G, B, L, V]`` and new keys and values."""
        x = self.word_embed(z) + x_add[:, None]
        new = []
        for i, block in enumerate(self.blocks):
            x, pair = block(x, condition.gss[:, i], None, past[i] if past else None)
            new.append(pair)
        return self.output(x, condition.head_ss), new

    def forward(self, labels: Tensor, inputs: Tensor, mask: Tensor) -> Tensor:
        """Teacher-forced logits ``[N, sum L, V]``; inputs ``[N, sum L - 1, d]``, mask additive block-causal."""
        condition = self.condition(labels)
        x = torch.cat([(condition.sos + self.pos_start[0])[:, None], self.word_embed(inputs).float()], 1)
        x = (x + self.positions())[:, None]
        for i, block in enumerate(self.blocks):
            x, _ = block(x, condition.gss[:, i], mask, None, True)
        return self.output(x, condition.head_ss)[:, 0]


def block_mask(lengths: Sequence[int]) -> Tensor:
    """Additive ``[sum L, sum L]``: a token sees its own scale and all earlier ones."""
    level = torch.cat([torch.full((n,), i) for i, n in enumerate(lengths)])
    return torch.zeros(len(level), len(level)).masked_fill_(level[:, None] < level[None, :], -1e4)


def load_official(model: Var, state: dict[str, Tensor]) -> None:
    """Load a released checkpoint strictly; its tables of levels and of the training mask are computed here."""
    model.load_state_dict({k: v for k, v in state.items() if k not in BUFFERS}, strict=True)
