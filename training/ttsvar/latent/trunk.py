"""Text encoder and transformer blocks over an 8x8 canvas, as all families beside next-scale use them.

They are the embedded generator's own (``ttsvar.infinity``), and trainings start from its weights: what a word looks like
and where things go is learnt already. Only inputs, heads and masks differ from family to family.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.generator import CLOSED
from ttsvar.infinity.layers import modulated_norm
from ttsvar.infinity.model import Infinity, InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.text.encoder import TextConfig, TextEncoder
from ttsvar.text.tokenizer import Tokenizer

SIDE = 8
TOKENS = SIDE * SIDE
#: Sides of the embedded generator's grids; the last one is the canvas.
SCALES = (1, 2, 3, 4, 6, 8)


class Prompt:
    """What depends on the prompt alone: sos ``[G, C]``, keys and values of the text by block, bias of padded text."""

    def __init__(self, sos: Tensor, memory: list[tuple[Tensor, Tensor]], bias: Tensor | None):
        self.sos, self.memory, self.bias = sos, memory, bias


class Trunk(nn.Module):
    """``prompt`` once per text, then ``forward`` over any tokens with positions on the canvas."""

    def __init__(self, config: InfinityConfig | None = None, text: TextConfig | None = None):
        super().__init__()
        self.text = TextEncoder(text or TextConfig(vocab_size=len(Tokenizer())))
        self.body = Infinity(config)
        # Never read here; inputs and heads are the families' own.
        for name in ("word_embed", "head", "pos_start"):
            getattr(self.body, name).requires_grad_(False)

    @property
    def width(self) -> int:
        return self.body.config.width

    @property
    def level(self) -> Tensor:
        """Embedding of the canvas' grid, ``[C]``."""
        return self.level_of(SIDE)

    def level_of(self, side: int) -> Tensor:
        """Embedding of a grid that the embedded generator has."""
        return self.body.lvl_embed.weight[SCALES.index(side)]

    def rope(self, side: int = SIDE) -> tuple[Tensor, Tensor]:
        """cos and sin of a grid's positions on the canvas, ``[side * side, hd/2]``, row-major."""
        return Schedule.square([side], SIDE).rope(0, self.body.config.head_dim)

    def prompt(self, ids: Tensor, drop: Tensor | None = None) -> Prompt:
        """Padded ids ``[G, T]``; ``drop`` ``[G]`` puts the learned stand-in in place of the text."""
        mask = ids != Tokenizer.pad_id
        states = self.text(ids, mask).float()
        if drop is not None:
            states = torch.where(drop[:, None, None], self.body.unconditional(ids.shape[1]), states)
        bias = (~mask)[:, None, None].float() * CLOSED
        return self._front(states, bias)

    def _front(self, states: Tensor, bias: Tensor | None) -> Prompt:
        text = self.body.text_norm(states)
        sos = self.body.text_proj_for_sos.ca(text, bias).float()
        source = self.body.text_proj_for_ca(text)
        return Prompt(sos, [block.ca.memory(source) for block in self.body.blocks], bias)

    def both(self, ids: Tensor) -> Prompt:
        """One unpadded prompt ``[1, T]`` -> two groups: the text, and the stand-in for a text of its length."""
        states = self.text(ids).float()
        return self._front(torch.cat([states, self.body.cfg_uncond[: ids.shape[1]][None]]), None)

    def forward(
        self, x: Tensor, prompt: Prompt, rope: tuple[Tensor, Tensor], mask: Tensor | None = None, time: Tensor | None = None
    ) -> Tensor:
        """``x`` ``[G, B, L, C]`` (``B`` canvases of each prompt) -> normed hidden states of the same shape.

        mask: additive ``[L, L]``; time: added to the conditioning, ``[G, C]``.
        """
        x, modulation = self.blocks(x, prompt, rope, mask, time)
        return self.output(x, modulation)

    def blocks(self, x, prompt, rope, mask=None, time=None, first=0, last=None):  # noqa: ANN001, ANN201
        """Blocks ``first`` to ``last`` without the final norm; also gives the conditioning vector."""
        vector = prompt.sos if time is None else prompt.sos + time
        gss = self.body.shared_ada_lin(vector).float().unflatten(-1, (6, -1))
        fused = self.training
        for index, block in enumerate(self.body.blocks[first:last], first):
            x, _ = block(x, gss, prompt.memory[index], prompt.bias, *rope, mask, None, fused)
        return x, vector

    def output(self, x: Tensor, vector: Tensor) -> Tensor:
        scale, shift = self.body.head_nm.ada_lin(vector).float().unflatten(-1, (2, -1))[:, :, None, None].unbind(1)
        return modulated_norm(x, scale, shift)


class TimeEmbedding(nn.Module):
    """A time in [0, 1] as a vector that starts as nothing."""

    def __init__(self, width: int, waves: int = 32):
        super().__init__()
        self.register_buffer("frequency", torch.exp(torch.linspace(0, math.log(1000.0), waves)), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))
        nn.init.zeros_(self.mlp[2].weight)
        nn.init.zeros_(self.mlp[2].bias)

    def forward(self, time: Tensor) -> Tensor:
        """``[...]`` -> ``[..., width]``."""
        angle = time[..., None].float() * self.frequency
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1)).float()


def start_from(trunk: Trunk, path: Path | str = "checkpoints/generator.pt") -> None:
    """Weights of the embedded generator (``python -m ttsvar.infinity.restore`` writes them), or of another family's trunk."""
    state = load_checkpoint(path)["state"]
    text, model = ("trunk.text.", "trunk.body.") if any(k.startswith("trunk.") for k in state) else ("text.", "model.")
    trunk.text.load_state_dict({k.removeprefix(text): v for k, v in state.items() if k.startswith(text)})
    body = {k.removeprefix(model): v for k, v in state.items() if k.startswith(model)}
    missing, unknown = trunk.body.load_state_dict(body, strict=False)
    unknown = [name for name in unknown if not name.startswith("block_chunks.")]  # of a deeper trunk
    known = len(trunk.body.blocks) > sum(k.endswith("sa.proj.weight") for k in body)
    if unknown or (missing and not known):
        raise ValueError(f"{path} does not fit: {missing[:3]} {unknown[:3]}")


def is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    """What Muon optimises."""
    return parameter.ndim == 2 and "block_chunks" in name


STACKED = {"mat_qkv.weight": 3, "mat_kv.weight": 2}
