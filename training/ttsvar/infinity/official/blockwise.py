"""Weight-only quantisation in the layout of ONNX Runtime's ``MatMulNBits``: symmetric, one scale per 32 inputs."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 32


def quantise(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weight ``[N, K]`` -> packed uint8 ``[N, K/32, 32*bits/8]`` and float32 scales ``[N, K/32]``; bits 4 or 8.

    A value is ``(q - 2**(bits-1)) * scale``. The entry of largest magnitude of a block becomes ``-2**(bits-1)``, the
    end of the range that has one step more, so that the step is as small as it can be.
    """
    blocks = weight.float().unflatten(1, (-1, BLOCK))
    half = 2 ** (bits - 1)
    extreme = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))
    scales = extreme / -half
    inverse = torch.where(scales == 0, torch.zeros(()), 1 / scales)
    codes = (blocks * inverse).round_().add_(half).clamp_(0, 2 * half - 1).to(torch.uint8)
    if bits == 4:
        codes = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return codes.contiguous(), scales.squeeze(2).contiguous()


def dequantise(codes: Tensor, scales: Tensor, bits: int) -> Tensor:
    """Inverse of :func:`quantise`: float32 ``[N, K]``."""
    if bits == 4:
        codes = torch.stack([codes & 15, codes >> 4], -1).flatten(-2)
    return ((codes.float() - 2 ** (bits - 1)) * scales.unsqueeze(2)).flatten(1)
