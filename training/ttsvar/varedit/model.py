"""Infinity with the source image as a prefix and a scale-aligned reference in the first layer (VAREdit, section 3.2).

The source's continuous latent at the last grid is embedded like the last scale's input and passes through all layers,
attending to itself. Target tokens see all of it in every layer but the first; there they see its keys and values
area-pooled to their own grid. Deviations: the source has the target's rotary positions (VAREdit: offset by one
grid), which suits a short fine-tuning of weights whose heads look for the same place; no norm before the embedding, since
this latent is white already.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.infinity import layers
from ttsvar.infinity.bits import Grid
from ttsvar.infinity.layers import MAX_LOG_SCALE, training_attention
from ttsvar.infinity.model import Infinity
from ttsvar.infinity.schedule import Schedule

CLOSED = -1e4


def pooled(x: Tensor, grid: Grid, to: Grid) -> Tensor:
    """Keys or values ``[R, H, h*w, hd]`` of the source, area-pooled to another grid."""
    rows, heads, _, width = x.shape
    cells = x.transpose(2, 3).reshape(rows * heads, width, *grid)
    return F.adaptive_avg_pool2d(cells, to).flatten(2).transpose(1, 2).reshape(rows, heads, to[0] * to[1], width)


def masks(schedule: Schedule, aligned: bool) -> tuple[Tensor, Tensor]:
    """Additive masks of the first layer and of the others; queries are source tokens, then the target's."""
    source, target = schedule.lengths[-1], schedule.block_mask()
    length = len(target)
    rest = torch.full((source + length, source + length), CLOSED)
    rest[:source, :source] = 0
    rest[source:, :source] = 0
    rest[source:, source:] = target
    if not aligned:
        return rest, rest
    level = torch.cat([torch.full((n,), i) for i, n in enumerate(schedule.lengths)])
    own = torch.where(level[:, None] == level[None], 0.0, CLOSED)
    first = torch.full((source + length, source + 2 * length), CLOSED)
    first[:source, :source] = 0
    first[source:, source : source + length] = own
    first[source:, source + length :] = target
    return first, rest


class EditInfinity(Infinity):
    """``forward`` is teacher-forced; one scale runs through :meth:`Infinity.step` with the source in its past."""

    def attend(self, layer: int, x: Tensor, tables: tuple[Tensor, Tensor], mask: Tensor, schedule: Schedule, aligned: bool) -> Tensor:
        attention = self.blocks[layer].sa
        bias = torch.cat([attention.q_bias, attention.zero_k_bias, attention.v_bias])
        qkv = F.linear(x, attention.mat_qkv.weight, bias)
        q, k, v = (y.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for y in qkv.chunk(3, -1))
        scale = attention.scale_mul_1H11.clamp_max(MAX_LOG_SCALE).exp()
        q = layers.normalise_and_rotate(q, scale, *tables).to(v.dtype)
        k = layers.normalise_and_rotate(k, None, *tables).to(v.dtype)
        if layer == 0 and aligned:
            last, n = schedule.scales[-1], schedule.lengths[-1]
            k, v = (
                torch.cat([t[:, :, :n], *(pooled(t[:, :, :n], last, grid) for grid in schedule.scales), t[:, :, n:]], 2)
                for t in (k, v)
            )
        out = training_attention(q, k, v, mask, 1.0)
        return attention.proj(out.transpose(1, 2).flatten(2))

    def edit(
        self, text: Tensor, text_bias: Tensor | None, source: Tensor, inputs: Tensor, schedule: Schedule, tables: tuple, aligned: bool
    ) -> Tensor:
        """Teacher-forced differences ``[N, sum L, dv]``; ``source`` ``[N, h*w, dv]`` is the unquantised latent."""
        condition = self.condition(text, text_bias)
        level = torch.cat([torch.full((n,), i) for i, n in enumerate(schedule.lengths)])
        start = (condition.sos[:, None] + self.pos_start).float()
        target = torch.cat([start, self.word_embed(inputs).float()], 1) + self.lvl_embed(level)
        prefix = self.word_embed(source).float() + self.lvl_embed.weight[len(schedule.scales) - 1]
        cos, sin, first, rest = tables
        x = torch.cat([prefix, target], 1)[:, None]
        for i, block in enumerate(self.blocks):
            gss = (block.ada_gss.squeeze(1) + condition.gss)[:, :, None, None]
            gamma1, gamma2, scale1, scale2, shift1, shift2 = gss.unbind(1)
            hidden = layers.modulated_norm(x, scale1, shift1).flatten(0, 1)
            update = self.attend(i, hidden, (cos, sin), first if i == 0 else rest, schedule, aligned)
            x = layers.gated_add(x, gamma1, update.view_as(x))
            update = block.ca(layers.affine_norm(x, block.ca_norm).flatten(1, 2), condition.memory[i], text_bias, True)
            x = x + update.view_as(x)
            x = layers.gated_add(x, gamma2, block.ffn(layers.modulated_norm(x, scale2, shift2)))
        return self.output(x[:, :, len(prefix[0]) :], condition.head_ss)[:, 0]
