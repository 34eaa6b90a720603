"""Self-verification (in the manner of Harmon): the generator's own encoder reads a finished picture and answers questions.

A small net on top of MAR's encoder and text encoder, both as they are: the words of a question look at the encoder's tokens, at
each other, and say how likely the answer is yes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.latent.trunk import TOKENS, Prompt
from ttsvar.masked_set.model import MaskedSet
from ttsvar.text.tokenizer import Tokenizer

HEADS, LAYERS = 4, 2
#: The picture is read without a prompt: with the stand-in for a text of this length.
NO_TEXT = 4


class Look(nn.Module):
    """Attention of ``[N, L, W]`` to a source ``[N, S, C]``; ``bias`` ``[N, 1, 1, S]``."""

    def __init__(self, width: int, source: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.both, self.out = nn.Linear(width, width), nn.Linear(source, 2 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor | None, bias: Tensor | None) -> Tensor:
        normed = self.norm(x)
        keys, values = self.both(normed if source is None else source).chunk(2, -1)
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in (self.query(normed), keys, values))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        weights = (scores if bias is None else scores + bias).softmax(-1)
        return x + self.out((weights @ v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, width: int, source: int):
        super().__init__()
        self.picture, self.words = Look(width, source), Look(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, features: Tensor, bias: Tensor) -> Tensor:
        x = self.words(self.picture(x, features, None), None, bias)
        return x + self.mlp(x)


class Verifier(nn.Module):
    def __init__(self, model: MaskedSet, width: int = 96):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        source, text = model.trunk.width, model.trunk.text.config.d_model
        self.place = nn.Parameter(torch.randn(TOKENS, source) * 0.02)
        self.norm = nn.LayerNorm(source)
        self.words = nn.Linear(text, width)
        self.layers = nn.ModuleList(Layer(width, source) for _ in range(LAYERS))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def features(self, tokens: Tensor) -> Tensor:
        """``[N, 64, d]`` -> what the encoder makes of them with nothing masked, ``[N, 64, C]``."""
        body = self.model.trunk
        nothing: Prompt = body._front(body.body.unconditional(NO_TEXT), None)
        x = self.model.embed(tokens[None]) + body.level
        _, x = self.model.encoded(x, torch.ones_like(tokens[None, ..., 0]), nothing, body.rope())
        return x[0].float()

    def answers(self, features: Tensor, ids: Tensor) -> Tensor:
        """Logits of yes ``[N, Q]`` to padded questions ``[N, Q, T]`` about ``[N, 64, C]``."""
        count, flat = ids.shape[1], ids.flatten(0, 1)
        source = (self.norm(features.float()) + self.place).repeat_interleave(count, 0)
        real = (flat != Tokenizer.pad_id).float()
        x = self.words(self.model.trunk.text(flat, real > 0).float())
        bias = (1 - real)[:, None, None] * -1e4
        for layer in self.layers:
            x = layer(x, source, bias)
        pooled = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        return self.out(pooled)[:, 0].unflatten(0, (-1, count))

    def forward(self, tokens: Tensor, ids: Tensor) -> Tensor:
        """The same about tokens ``[N, 64, d]``."""
        return self.answers(self.features(tokens), ids)

    def own(self) -> dict[str, Tensor]:
        """What was trained here: all but the generator."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("model.")}


def load(model: MaskedSet, path: Path | str) -> tuple[Verifier, dict]:
    saved = load_checkpoint(path)
    verifier = Verifier(model)
    missing, unknown = verifier.load_state_dict(saved["state"], strict=False)
    if unknown or any(not key.startswith("model.") for key in missing):
        raise ValueError(f"{path} holds no verification head: {missing[:2]} {unknown[:2]}")
    return verifier.eval().requires_grad_(False), {k: v for k, v in saved.items() if k != "state"}
