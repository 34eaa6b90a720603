"""Keyed randomness: the same draws as ``src/core/rng.ts``, vectorised.

A draw is a pure function of (seed, prompt, candidate, scale, purpose, position) through Philox4x32-10 (Salmon et al.
2011), so batches, order and the machine cannot change it. ``test/fixtures/remote/draws.json`` ties both languages.
"""

from __future__ import annotations

import hashlib

import numpy as np

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
TOKEN = 0  # the purpose of all draws of a sampler
_WORD = np.uint64(0xFFFFFFFF)


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Blocks of four 32-bit words for counters ``[N, 4]``; both as uint64 below 2**32."""
    x0, x1, x2, x3 = counter.astype(np.uint64).T
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = np.uint64(MULTIPLIERS[0]) * x0, np.uint64(MULTIPLIERS[1]) * x2
        x0, x2 = (second >> np.uint64(32)) ^ x1 ^ np.uint64(k0), (first >> np.uint64(32)) ^ x3 ^ np.uint64(k1)
        x1, x3 = second & _WORD, first & _WORD
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3], -1)


def hash64(text: str) -> tuple[int, int]:
    """Two little-endian words of the text's SHA-256."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


class KeyedRandom:
    """Randomness of one (seed, prompt)."""

    def __init__(self, seed: int | str, prompt: str):
        self._key = hash64(f"{seed}\0{prompt}")

    def uniforms(self, candidate: str, scale: int, count: int, purpose: int = TOKEN) -> np.ndarray:
        """Uniforms in [0, 1) for positions ``0 .. count - 1``, float64 ``[count]``."""
        counter = np.empty((-(-count // 4), 4), np.uint64)
        counter[:, 0] = np.arange(len(counter))
        counter[:, 1] = (scale << 4 | purpose) & 0xFFFFFFFF
        counter[:, 2:] = hash64(candidate)
        return philox(counter, self._key).reshape(-1)[:count] / 2.0**32
