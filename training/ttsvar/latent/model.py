"""Narrow latents: 8x8 tokens of 8 channels with zero mean and unit variance, or codes of a codebook over them.

Both stand on the embedded VAE (``ttsvar.infinity.vae``), whose 32 channels are whitened one by one but tell much the same
thing: a small convolutional autoencoder *over its latents* narrows them, so that no family needs a decoder of its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttsvar.common.training import load_checkpoint

WIDE = 32
CHANNELS = 8
WIDTH = 128


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.gelu(self.conv1(F.gelu(x)), approximate="tanh"))


def tower(inputs: int, outputs: int, blocks: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), *(Residual(width) for _ in range(blocks)), nn.GELU(approximate="tanh"),
        nn.Conv2d(width, outputs, 1),
    )  # fmt: skip


class Narrow(nn.Module):
    """Latents of the embedded VAE ``[B, 32, h, w]`` <-> narrow ones ``[B, 8, h, w]``."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int = CHANNELS, width: int = WIDTH) -> None:
        super().__init__()
        self.channels = channels
        self.narrow = tower(WIDE, 2 * channels, 1, width)
        self.widen = tower(channels, WIDE, 2, width)
        # Of the posterior's means over the training scenes, so that tokens have unit variance by channel.
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def posterior(self, wide: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance before normalisation."""
        mean, log_variance = self.narrow(wide).float().chunk(2, 1)
        return mean, log_variance.clamp(-12, 4)

    def encode(self, wide: Tensor) -> Tensor:
        return (self.posterior(wide)[0] - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)

    def decode(self, token: Tensor) -> Tensor:
        return self.widen(token * self.std.view(1, -1, 1, 1) + self.mean.view(1, -1, 1, 1))


class Codebook(nn.Module):
    """Entries ``[K, 8]`` in narrow latent space, and the net that widens them (tuned for the codes)."""

    entries: Tensor

    def __init__(self, entries: int, channels: int = CHANNELS, width: int = WIDTH):
        super().__init__()
        self.register_buffer("entries", torch.zeros(entries, channels))
        self.widen = tower(channels, WIDE, 2, width)

    def nearest(self, token: Tensor) -> Tensor:
        """Narrow latents ``[B, 8, h, w]`` -> codes ``[B, h*w]``, row-major."""
        flat = token.flatten(2).transpose(1, 2).reshape(-1, token.shape[1])
        distance = self.entries.pow(2).sum(1) - 2 * flat @ self.entries.T
        return distance.argmin(1).view(len(token), -1)

    def vectors(self, codes: Tensor, side: int = 8) -> Tensor:
        """Codes ``[B, h*w]`` -> narrow latents ``[B, 8, h, w]``."""
        return self.entries[codes].transpose(1, 2).unflatten(2, (side, -1))

    def decode(self, codes: Tensor, side: int = 8) -> Tensor:
        return self.widen(self.vectors(codes, side))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL to the standard normal, mean over all values (nats)."""
    return 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).mean()


def load_narrow(path: Path | str = "checkpoints/narrow.pt") -> Narrow:
    saved = load_checkpoint(path)
    model = Narrow(saved["channels"])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False)


def load_codebook(path: Path | str = "checkpoints/codebook.pt") -> Codebook:
    saved = load_checkpoint(path)
    model = Codebook(saved["state"]["entries"].shape[0], saved["state"]["entries"].shape[1])
    model.load_state_dict(saved["state"])
    return model.eval().requires_grad_(False)
