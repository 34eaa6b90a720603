"""A growing pool of encoded scenes: latents and captions for the transformer's training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ttsvar.common.stream import prefetch
from ttsvar.infinity.generator import pad
from ttsvar.infinity.vae import Vae, to_float
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.world import World
from ttsvar.world.spec import SceneSpec, sample_spec_of

# Pairs of objects and recolourings are the hard part; the later mixes are for later parts of a training.
TAG_MIXES = {
    "even": {"single_object": 0.11, "colors": 0.12, "counting": 0.13, "two_object": 0.21, "position": 0.22, "color_attr": 0.21},
    "wide": {"single_object": 0.10, "colors": 0.13, "counting": 0.12, "two_object": 0.17, "position": 0.22, "color_attr": 0.20, "groups": 0.06},
    "late": {"single_object": 0.07, "colors": 0.17, "counting": 0.07, "two_object": 0.16, "position": 0.23, "color_attr": 0.30},
}  # fmt: skip
# Prompts that name two objects without a relation are drawn in reading order most of the time: undecided order is
# what makes small models mix the two objects.
PAIR_LAYOUTS = {"left of": 0.88, "right of": 0.04, "above": 0.04, "below": 0.04}


def draw_spec(tag: str, rng: np.random.Generator) -> SceneSpec:
    """A spec of the tag; the relation of pairs without one only steers the layout, not the caption."""
    spec = sample_spec_of(tag, rng)
    if spec.relation is None and len(set(spec.objects)) == 2:
        spec = replace(spec, relation=str(rng.choice(list(PAIR_LAYOUTS), p=list(PAIR_LAYOUTS.values()))))
    return spec


def draw_scenes(
    world: World, start: int, count: int, shares: dict[str, float] = TAG_MIXES["even"]
) -> tuple[np.ndarray, list[list[int]]]:
    """Scenes ``start ..`` with a tag mix: uint8 ``[count, S, S, 3]`` and caption ids."""
    rng = np.random.Generator(np.random.Philox(key=[world.seed + 77_777, start]))
    tags = rng.choice(list(shares), size=count, p=list(shares.values()))
    batch = world.batch(start, count, [draw_spec(str(tag), rng) for tag in tags])
    tokenizer = Tokenizer()
    return batch.images, [tokenizer.encode(scene.caption) for scene in batch.scenes]


class LatentPool:
    """Encodes scenes in order; ``sample`` draws from everything encoded so far."""

    def __init__(
        self,
        vae: Vae,
        world: World,
        capacity: int,
        chunk: int = 128,
        start: int = 0,
        shares: dict[str, float] = TAG_MIXES["even"],
    ):
        self.vae, self.chunk, self.count = vae, chunk, 0
        side = world.config.size // vae.config.stride
        self.latents = torch.empty(capacity, vae.config.channels, side, side, dtype=torch.float16)
        self.ids: list[list[int]] = []
        self._stream = prefetch(lambda i: draw_scenes(world, i * chunk, chunk, shares), start=start)

    @property
    def full(self) -> bool:
        return self.count + self.chunk > len(self.latents)

    @torch.no_grad()
    def grow(self) -> None:
        """Encode one more chunk, unless full."""
        if self.full:
            return
        images, ids = next(self._stream)
        device = next(self.vae.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            latents = self.vae.encode(to_float(images).to(device))
        self.latents[self.count : self.count + self.chunk] = latents.half().cpu()
        self.ids.extend(ids)
        self.count += self.chunk

    def sample(self, size: int) -> tuple[Tensor, Tensor]:
        """Latents ``[size, d, h, w]`` float32 and padded ids ``[size, T]``."""
        index = torch.randint(0, self.count, (size,))
        return self.latents[index].float(), pad([self.ids[i] for i in index.tolist()])
