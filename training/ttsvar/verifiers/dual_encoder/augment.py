"""Image side of a batch: to tensors, mild damage that keeps the meaning, strong damage that destroys it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def to_pixels(images: Tensor) -> Tensor:
    """u8 [B,S,S,3] -> float [B,3,S,S] in [-1,1], channels-last in memory."""
    return images.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)


def _uniform(shape: tuple[int, ...], low: float, high: float, g: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=g) * (high - low) + low


def shift_and_zoom(x: Tensor, g: torch.Generator) -> Tensor:
    """Moves by up to 2/64 of the side and zooms by up to 6 %; the border colour continues outside."""
    b = len(x)
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = _uniform((b,), 0.94, 1.06, g)
    theta[:, :, 2] = _uniform((b, 2), -2 / 32, 2 / 32, g)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def augment(x: Tensor, g: torch.Generator) -> Tensor:
    """Slight shift and zoom, blur by down- and up-scaling (previews and soft generations), noise, colour jitter.
    [B,3,S,S] -> same shape."""
    b, _, s, _ = x.shape
    x = x.clone()
    moved = torch.randperm(b, generator=g)[: b // 2]
    x[moved] = shift_and_zoom(x[moved], g)
    order = torch.randperm(b, generator=g)
    for share, sizes in ((0.16, (32, 40, 48)), (0.08, (20, 24, 28)), (0.04, (12, 16))):
        take, order = order[: int(b * share)], order[int(b * share) :]
        small = sizes[int(torch.randint(len(sizes), (1,), generator=g))]
        small = max(2, small * s // 64)
        down = F.interpolate(x[take], size=(small, small), mode="area")
        x[take] = F.interpolate(down, size=(s, s), mode="bilinear", align_corners=False)
    noisy = torch.randperm(b, generator=g)[: b * 2 // 5]
    sigma = _uniform((len(noisy), 1, 1, 1), 0.0, 0.16, g)
    x[noisy] += sigma * torch.randn(x[noisy].shape, generator=g)
    jitter = torch.randperm(b, generator=g)[: b // 2]
    gain = 1 + _uniform((len(jitter), 1, 1, 1), -0.12, 0.12, g) + _uniform((len(jitter), 3, 1, 1), -0.04, 0.04, g)
    x[jitter] = x[jitter] * gain + _uniform((len(jitter), 3, 1, 1), -0.05, 0.05, g)
    return x.clamp_(-1, 1)


def degrade(x: Tensor, donors: Tensor, g: torch.Generator) -> Tensor:
    """Damaged copies of x [D,3,S,S], each by one of: blend with a donor, mosaic of cells of both, cells shuffled
    in place, one half of the image flattened to its mean colour."""
    d, _, s, _ = x.shape
    kind = torch.randint(4, (d,), generator=g)
    cell = s // 8
    coarse = torch.rand((d, 1, 8, 8), generator=g) < 0.5
    mosaic = torch.where(coarse.repeat_interleave(cell, 2).repeat_interleave(cell, 3), x, donors)
    weight = _uniform((d, 1, 1, 1), 0.35, 0.6, g)
    blend = x * weight + donors * (1 - weight)
    step = s // 4
    cells = x.unfold(2, step, step).unfold(3, step, step).reshape(d, 3, 16, step, step)
    cells = cells[:, :, torch.randperm(16, generator=g)]
    shuffled = cells.view(d, 3, 4, 4, step, step).permute(0, 1, 2, 4, 3, 5).reshape(d, 3, s, s)
    flat = x.clone()
    half = s // 2
    background = x[:, :, :2].mean((2, 3), keepdim=True)
    for i in range(d):
        side = i % 4
        region = (slice(0, half), slice(None)) if side == 0 else (slice(half, s), slice(None))
        if side >= 2:
            region = (slice(None), slice(0, half)) if side == 2 else (slice(None), slice(half, s))
        flat[i][:, region[0], region[1]] = background[i]
    choices = torch.stack([blend, mosaic, shuffled, flat])
    # An empty half or equal cells change nothing: such a copy would be no negative, so it is blended instead.
    unchanged = (choices - x).abs().mean((2, 3, 4))[kind, torch.arange(d)] < 0.03
    return choices[kind.masked_fill(unchanged, 0), torch.arange(d)]
