"""Fine-tune the embedded generator into an editor on pairs of scenes.

    python -m ttsvar.varedit.train --init checkpoints/generator.pt --minutes 20
    python -m ttsvar.varedit.train --resume --minutes 20

10 % of the instructions are dropped for guidance; the source is never. In half of the batches the reference is not
scale-aligned, so that one set of weights runs with it and without.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttsvar.common.stream import prefetch
from ttsvar.infinity import train as base
from ttsvar.infinity.generator import Generator, pad
from ttsvar.infinity.schedule import Schedule
from ttsvar.infinity.vae import to_float
from ttsvar.text.encoder import TextConfig
from ttsvar.varedit.model import EditInfinity, masks
from ttsvar.varedit.pairs import draw_pair
from ttsvar.varedit.words import EditTokenizer

CHUNK = 64


class Editor(Generator):
    """The generator with an editing transformer and a longer vocabulary."""

    def __init__(self, config, text: TextConfig):  # noqa: ANN001
        super().__init__(config, text)
        self.model = EditInfinity(config)


def widen(state: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """A generator's state with rows for new words: the mean of the old ones, a little apart."""
    state = dict(state)
    for key, value in state.items():
        if key.startswith("text.") and value.ndim == 2 and value.shape[0] == 102:
            mean = value.mean(0, keepdim=True)
            state[key] = torch.cat([value, mean + 0.5 * value.std() * torch.randn(rows - 102, value.shape[1])])
    return state


class PairPool:
    """Latents of sources and targets, and ids, of all pairs so far."""

    def __init__(self, vae, world, seed: int, start: int = 0):  # noqa: ANN001
        self.vae, self.tokenizer = vae, EditTokenizer()
        self.rows: list[tuple[Tensor, Tensor, list[list[int]]]] = []
        self._stream = prefetch(lambda i: [draw_pair(world, seed, i * CHUNK + j) for j in range(CHUNK)], start=start)

    @property
    def count(self) -> int:
        return len(self.rows) * CHUNK

    @torch.no_grad()
    def grow(self) -> None:
        if len(self.rows) > 800:
            return
        pairs = next(self._stream)
        with torch.autocast("cpu", torch.bfloat16):
            source, target = (
                self.vae.encode(to_float(np.stack([getattr(p, side) for p in pairs]))).float().contiguous().half()
                for side in ("source", "target")
            )
        self.rows.append((source, target, [self.tokenizer.encode(p.instruction) for p in pairs]))

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        chunk, row = torch.randint(len(self.rows), (size,)).tolist(), torch.randint(CHUNK, (size,)).tolist()
        latents = torch.stack([torch.stack([self.rows[c][0][r], self.rows[c][1][r]]) for c, r in zip(chunk, row)])
        return latents.float(), pad([self.rows[c][2][r] for c, r in zip(chunk, row)])


class EditTrainer(base.Trainer):
    aligned = True

    def build(self, transformer, text: TextConfig) -> Generator:  # noqa: ANN001
        return Editor(transformer, TextConfig(vocab_size=len(EditTokenizer()), d_model=text.d_model))

    def initial(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        return widen(state, len(EditTokenizer()))

    def pools(self, vae, world, held_out, start: int):  # noqa: ANN001, ANN201
        validation = PairPool(vae, held_out, 9_300)
        for _ in range(4):
            validation.grow()
        first, rest = {}, {}
        for aligned in (True, False):
            first[aligned], rest[aligned] = (m.bfloat16() for m in masks(self.schedule, aligned))
        cos, sin = (torch.cat([t[-self.schedule.lengths[-1] :], t]) for t in self.tables[:2])
        self.edit_tables = {a: (cos, sin, first[a], rest[a]) for a in (True, False)}
        return PairPool(vae, world, self.arguments.seed + 300, start), validation

    def losses(self, latent: Tensor, ids: Tensor, training: bool, schedule: Schedule) -> Tensor:
        source = latent[:, 0].flatten(2).transpose(1, 2)
        inputs, bits = self.targets(latent[:, 1], training)
        drop = torch.rand(len(ids)) < 0.1 if training else torch.zeros(len(ids), dtype=torch.bool)
        aligned = not training or bool(torch.rand(()) < 0.5)
        model = self.generator.model
        with torch.autocast("cpu", torch.bfloat16):
            states, bias = self.generator.states(ids)
            states = torch.where(drop[:, None, None], model.unconditional(ids.shape[1]), states)
            delta = model.edit(states, bias, source, inputs, schedule, self.edit_tables[aligned], aligned)
        return F.binary_cross_entropy_with_logits(delta.float(), bits, reduction="none").mean((0, 2))

    def validate(self) -> list[float]:
        with torch.no_grad():
            return super().validate()


def main() -> None:
    base.run(EditTrainer, __doc__, out="checkpoints/varedit.pt", curve="curves/varedit.jsonl")


if __name__ == "__main__":
    main()
