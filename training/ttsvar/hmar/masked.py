"""The masked path of HMAR beside the next-scale path of an :class:`~ttsvar.infinity.model.Infinity`.

All blocks but the last ``depth`` are shared (and frozen while this part is trained); the last ones, the head and its
modulation are copies. A token's input is the next-scale input plus the embedding of its own code, or, where it is
masked, a learned vector. Deviation from the paper: tokens are sign bits, so a token's code is its own values at its
scale's grid, without the detour over the full grid (this tokenizer has no convolution phi).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.infinity.layers import modulated_norm
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.schedule import Schedule


def block_diagonal_mask(schedule: Schedule) -> Tensor:
    """Additive ``[sum L, sum L]``: a token sees its own scale only."""
    level = torch.cat([torch.full((n,), i) for i, n in enumerate(schedule.lengths)])
    return torch.zeros(len(level), len(level)).masked_fill_(level[:, None] != level[None, :], -1e4)


def scale_weights(sides: list[int]) -> list[float]:
    """Loss weight of each scale: a normal density at the standardised, reversed list of relative sides, normalised to 1."""
    relative = torch.tensor([side / sides[-1] for side in reversed(sides)], dtype=torch.float64)
    score = (relative - relative.mean()) / relative.std()
    density = torch.exp(-score.square() / 2)
    return (density / density.sum()).tolist()


def token_weights(schedule: Schedule) -> Tensor:
    """``[sum L]``, mean 1: a scale's weight, divided evenly among its tokens."""
    weights = scale_weights([h for h, _ in schedule.scales])
    each = torch.cat([torch.full((n,), w / n) for n, w in zip(schedule.lengths, weights)])
    return (each / each.mean()).float()


class MaskedPart(nn.Module):
    """Copies of a transformer's last ``depth`` blocks and of its head, and the vector of masked tokens."""

    def __init__(self, model: Infinity, depth: int):
        super().__init__()
        self.depth = depth
        self.blocks = nn.ModuleList(copy.deepcopy(block) for block in model.blocks[-depth:])
        self.head, self.head_nm = copy.deepcopy(model.head), copy.deepcopy(model.head_nm)
        self.mask_embed = nn.Parameter(torch.zeros(1, 1, model.config.width))

    def folded_head(self) -> tuple[Tensor, Tensor]:
        """As of the transformer: weight ``[dv, C]``, bias ``[dv]``."""
        return self.head.weight[1::2] - self.head.weight[0::2], self.head.bias[1::2] - self.head.bias[0::2]

    def modulation(self, sos: Tensor) -> Tensor:
        """``[G, C]`` -> ``[G, 2, C]``."""
        return self.head_nm.ada_lin(sos).float().unflatten(-1, (2, -1))

    def embed(self, model: Infinity, values: Tensor, masked: Tensor) -> Tensor:
        """What a token's own code ``values [..., L, dv]`` adds to its input where ``masked [..., L, 1]`` is 0, ``[..., L, C]``."""
        own = F.linear(values, model.word_embed.weight).float()
        return own * (1 - masked) + self.mask_embed * masked

    def output(self, x: Tensor, head_ss: Tensor) -> Tensor:
        """Hidden ``[G, B, L, C]`` -> bit-logit differences ``[G, B, L, dv]``."""
        scale, shift = head_ss[:, :, None, None].unbind(1)
        return F.linear(modulated_norm(x, scale, shift), *self.folded_head())

    def forward(
        self, model: Infinity, text: Tensor, text_bias: Tensor | None, inputs: Tensor, values: Tensor, masked: Tensor,
        schedule: Schedule, tables: tuple,
    ) -> Tensor:  # fmt: skip
        """Teacher-forced differences ``[N, sum L, dv]`` of all scales at once; see ``Infinity.forward``.

        values ``[N, sum L, dv]``: codes of the scales themselves; masked ``[N, sum L, 1]`` 0 or 1.
        """
        cos, sin, mask = tables
        shared = model.blocks[: -self.depth]
        with torch.no_grad():
            sos, gss, _, memory_input = model.front(text, text_bias)
            x = torch.cat([sos[:, None] + model.pos_start, model.word_embed(inputs).float()], 1)
            level = torch.cat([torch.full((n,), i) for i, n in enumerate(schedule.lengths)])
            x = x + model.lvl_embed(level)
        x = (x + self.embed(model, values, masked))[:, None]
        for block in [*shared, *self.blocks]:
            x, _ = block(x, gss, block.ca.memory(memory_input), text_bias, cos, sin, mask, None, True)
        return self.output(x, self.modulation(sos))[:, 0]
