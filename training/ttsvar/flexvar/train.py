"""Fine-tune the embedded generator into a FlexVAR: no residuals, a random schedule in every step.

    python -m ttsvar.flexvar.train --init checkpoints/generator.pt --minutes 20

Schedules: 1, 2, then two to four of 3..7, then 8; one of the middle is dropped with probability 0.1. All later scales
share one level embedding; where a token is, and how large the map, is told by rotary positions alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ttsvar.common.training import save_checkpoint
from ttsvar.flexvar.bits import encode, magnitudes
from ttsvar.infinity import train as base
from ttsvar.infinity.bits import tokens
from ttsvar.infinity.schedule import Schedule

VALIDATED = (1, 2, 3, 4, 6, 8)


def random_sides() -> list[int]:
    """A training schedule."""
    count = int(torch.randint(2, 5, ()))
    middle = sorted((torch.randperm(5)[:count] + 3).tolist())
    if torch.rand(()) < 0.1:
        middle.pop(int(torch.randint(len(middle), ())))
    return [1, 2, *middle, 8]


def share_levels(model: nn.Module) -> None:
    """All scales but the first get the mean of the trained level embeddings."""
    weight = model.lvl_embed.weight
    with torch.no_grad():
        weight[1:] = weight[1:6].mean(0)
    weight.requires_grad_(False)


class FlexTrainer(base.Trainer):
    def __init__(self, arguments):  # noqa: ANN001
        super().__init__(arguments)
        while self.pool.count < 512:
            self.pool.grow()
        self.magnitude = magnitudes(self.pool.latents[:512])
        if arguments.resume:
            self.magnitude = base.load_checkpoint(arguments.out)["flex_magnitude"]
        else:
            share_levels(self.generator.model)
            self.ema = base.Ema(self.generator)
        self.generator.model.lvl_embed.weight.requires_grad_(False)
        self.plan(VALIDATED)

    def plan(self, sides) -> None:  # noqa: ANN001
        self.schedule = Schedule.square(list(sides), 8)
        cos, sin = self.schedule.rope_all(self.generator.model.config.head_dim)
        self.tables = (cos, sin, self.schedule.block_mask().bfloat16())
        weight = torch.cat([torch.full((n,), n**-0.5) for n in self.schedule.lengths])
        self.weight = weight / weight.mean()

    def targets(self, latent: Tensor, correct: bool) -> tuple[Tensor, Tensor]:
        flip = torch.rand(len(latent)) * self.arguments.flip * (torch.rand(len(latent)) < 0.8) if correct else None
        bits, inputs = encode(latent, list(self.schedule.scales), self.magnitude, flip)
        return torch.cat(inputs, 1), torch.cat([tokens(b) for b in bits], 1).float()

    def optimise(self, factor: float) -> float:
        self.plan(random_sides())
        return super().optimise(factor)

    def validate(self) -> list[float]:
        self.plan(VALIDATED)
        with torch.no_grad():
            return super().validate()

    def save(self, curve: list[float]) -> None:
        self.plan(VALIDATED)
        super().save(curve)
        path = base.Path(self.arguments.out)
        checkpoint = base.load_checkpoint(path)
        save_checkpoint(path, {**checkpoint, "flex_magnitude": self.magnitude})


def main() -> None:
    base.run(FlexTrainer, __doc__, out="checkpoints/flexvar.pt", curve="curves/flexvar.jsonl")


if __name__ == "__main__":
    main()
