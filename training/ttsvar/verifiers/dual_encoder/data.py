"""Training batches: pairs of scenes that differ in one thing, text-only hard negatives, patch labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ttsvar.world import SceneSpec, caption

from .atoms import atoms_of
from .config import TrainConfig
from .pool import Pool
from .specs import compatible, content, meaning, random_edit
from .tokens import CaptionTokenizer


@dataclass
class Batch:
    """images u8 [B,S,S,3]; ids, mask i64 [B+N,L] (row b < B is the caption of image b); neutral bool [B,B+N]:
    captions that also hold for the image; classes, colors i64 [B,G*G] (80 = background, -1 = unknown colour);
    atoms i64 [B+N,4] (see atoms.py)."""

    images: Tensor
    ids: Tensor
    mask: Tensor
    neutral: Tensor
    classes: Tensor
    colors: Tensor
    atoms: Tensor


def neutral_mask(images: list[SceneSpec], texts: list[SceneSpec]) -> np.ndarray:
    """bool [len(images), len(texts)]: the caption holds for the image too, so it is no negative."""
    groups: dict[tuple, list[int]] = {}
    for j, spec in enumerate(texts):
        groups.setdefault(content(spec), []).append(j)
    out = np.zeros((len(images), len(texts)), bool)
    for i, spec in enumerate(images):
        for j in groups.get(content(spec), ()):
            out[i, j] = compatible(spec, texts[j])
    return out


def text_negatives(spec: SceneSpec, partner: SceneSpec, count: int, rng: np.random.Generator) -> list[SceneSpec]:
    """Up to ``count`` distinct one-thing edits of the spec that do not hold for it and are not its partner."""
    seen = {meaning(spec), meaning(partner)}
    out: list[SceneSpec] = []
    for _ in range(6 * count):
        if len(out) == count:
            break
        candidate = random_edit(spec, rng)
        if meaning(candidate) not in seen and not compatible(candidate, spec):
            seen.add(meaning(candidate))
            out.append(candidate)
    return out


class PairSource:
    """Batch number i depends only on (config.seed, pool, i); every epoch meets the pairs in another order."""

    def __init__(self, config: TrainConfig, tokenizer: CaptionTokenizer, pool: Pool) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.pool = pool
        self.pairs = len(pool.specs) // 2
        self.per_epoch = self.pairs // config.pairs

    def _rows(self, index: int) -> np.ndarray:
        epoch, position = divmod(index, self.per_epoch)
        order = np.random.Generator(np.random.Philox(key=[self.config.seed, epoch])).permutation(self.pairs)
        chosen = order[position * self.config.pairs : (position + 1) * self.config.pairs]
        return np.stack([2 * chosen, 2 * chosen + 1], 1).reshape(-1)

    def batch(self, index: int) -> Batch:
        rows = self._rows(index)
        rng = np.random.Generator(np.random.Philox(key=[self.config.seed, 1_000_000 + index]))
        specs = [self.pool.specs[r] for r in rows]
        texts = list(specs)
        for i, spec in enumerate(specs):
            texts += text_negatives(spec, specs[i ^ 1], self.config.text_negatives, rng)
        ids, mask = self.tokenizer([caption(s, rng) for s in texts])
        return Batch(
            torch.from_numpy(self.pool.images[rows]),
            ids,
            mask,
            torch.from_numpy(neutral_mask(specs, texts)),
            torch.from_numpy(self.pool.classes[rows].astype(np.int64)),
            torch.from_numpy(self.pool.colors[rows].astype(np.int64)),
            torch.from_numpy(np.stack([atoms_of(s) for s in texts])),
        )
