"""The embedded generator as one trainable module, its checkpoint format, and its fixed design choices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint
from ttsvar.infinity.bits import BitQuantizer
from ttsvar.infinity.model import Infinity, InfinityConfig
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.train_vae import load_vae
from ttsvar.infinity.vae import Vae
from ttsvar.text.encoder import TextConfig, TextEncoder
from ttsvar.text.tokenizer import Tokenizer

CLOSED = -1e4


class Generator(nn.Module):
    """T5-style text encoder and Infinity transformer, trained jointly."""

    def __init__(self, config: InfinityConfig, text: TextConfig):
        super().__init__()
        self.text = TextEncoder(text)
        self.model = Infinity(config)

    def states(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Padded ids ``[N, T]`` -> text states ``[N, T, Ct]`` and additive bias ``[N, 1, 1, T]``."""
        mask = ids != Tokenizer.pad_id
        return self.text(ids, mask).float(), (~mask)[:, None, None].float() * CLOSED

    def forward(self, ids: Tensor, inputs: Tensor, schedule: Schedule, tables: tuple, drop: Tensor | None) -> Tensor:
        """Teacher-forced bit-logit differences ``[N, sum L, dv]``; ``drop`` ``[N]`` removes the text."""
        states, bias = self.states(ids)
        if drop is not None:
            states = torch.where(drop[:, None, None], self.model.unconditional(ids.shape[1]), states)
        return self.model(states, bias, inputs, schedule, tables)


@dataclass
class Bundle:
    """A loaded checkpoint: everything needed to sample."""

    generator: Generator
    vae: Vae
    quantizer: BitQuantizer
    schedule: Schedule
    info: dict


def pad(sequences: list[list[int]]) -> Tensor:
    """``[N, longest]`` ids, padded with 0."""
    longest = max(map(len, sequences))
    return torch.tensor([s + [Tokenizer.pad_id] * (longest - len(s)) for s in sequences])


def load_bundle(generator: Path | str, vae: Path | str) -> Bundle:
    """Averaged weights of a generator checkpoint together with the VAE it was trained on."""
    checkpoint = load_checkpoint(generator)
    module = Generator(InfinityConfig(**checkpoint["config"]), TextConfig(**checkpoint["text_config"]))
    module.load_state_dict(checkpoint["state"])
    loaded_vae, quantizer = load_vae(vae)
    schedule = Schedule.square(checkpoint["sides"])
    info = {k: v for k, v in checkpoint.items() if k != "state"}
    return Bundle(module.eval().requires_grad_(False), loaded_vae, quantizer, schedule, info)
