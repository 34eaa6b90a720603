"""The network: a convolutional feature pyramid with one stride-4 head for classes, boxes and colours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_CLASSES = 80
NUM_COLORS = 10
STRIDE = 4
NO_LOGIT = -30.0


@dataclass(frozen=True)
class DetectorConfig:
    """Channel widths at strides 2, 4 and 8, of the head, and the number of residual blocks at stride 8."""

    stem: int = 32
    fine: int = 64
    coarse: int = 160
    head: int = 128
    depth: int = 4


class ConvNorm(nn.Sequential):
    """Convolution, batch norm (folded into the convolution on export), ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1) -> None:
        pad = (kernel - 1) // 2
        super().__init__(
            nn.Conv2d(cin, cout, kernel, stride, pad, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """Two 3x3 convolutions; the second batch norm starts at zero so that the block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class Detector(nn.Module):
    """Images in, dense maps out. Any side that is a multiple of 8."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = c = config
        self.stem = nn.Sequential(ConvNorm(3, c.stem, 4, 2), ConvNorm(c.stem, c.fine, 4, 2), Residual(c.fine))
        self.coarse = nn.Sequential(ConvNorm(c.fine, c.coarse, 4, 2), *(Residual(c.coarse) for _ in range(c.depth)))
        self.up = nn.Sequential(nn.Conv2d(c.coarse, c.fine * 4, 1), nn.PixelShuffle(2))
        self.mix = nn.Sequential(Residual(c.fine), ConvNorm(c.fine, c.head))
        self.out = nn.Conv2d(c.head, NUM_CLASSES + 4 + NUM_COLORS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.bias[:NUM_CLASSES] = -4.0  # objects are rare: start from p = 0.018 everywhere
            self.out.bias[NUM_CLASSES + 2 : NUM_CLASSES + 4] = 1.7  # exp(1.7) cells = 22 px

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """images f32 [B, 3, S, S] in 0..1 -> class logits [B, 80, S/4, S/4], boxes [B, 4, ...], colours [B, 10, ...].

        Boxes are (dx, dy, log w, log h) in cells: centre relative to the cell's centre, and size.
        """
        fine = self.stem(images * 2 - 1)
        out = self.out(self.mix(F.relu(fine + self.up(self.coarse(fine)))))
        return out[:, :NUM_CLASSES], out[:, NUM_CLASSES : NUM_CLASSES + 4], out[:, NUM_CLASSES + 4 :]


class YolosHead(nn.Module):
    """Detector plus in-graph peak picking in the output layout of YOLOS.

    scale, shift: calibration of the class logits, so that sigmoid(scale * logit + shift) crosses 0.3 and 0.9 where
    an object should start to count under GenEval's two thresholds.
    """

    def __init__(self, detector: Detector, scale: float = 1.0, shift: float = 0.0, queries: int = 32) -> None:
        super().__init__()
        self.detector = detector
        self.scale = float(scale)
        self.shift = float(shift)
        self.queries = queries

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """pixel_values f32 [B, 3, S, S] in 0..1 -> logits [B, Q, 81], pred_boxes [B, Q, 4] (cx, cy, w, h in 0..1),
        color_logits [B, Q, 10], by falling class score.

        The soft-max over a row of logits is exactly (sigmoid score at the class, the rest at "no object").
        """
        heat, boxes, colors = self.detector(pixel_values)
        side = heat.shape[-1]
        cells = side * heat.shape[-2]
        heat = heat.float() * self.scale + self.shift
        peak = heat >= F.max_pool2d(heat, 3, 1, 1)
        flat = torch.where(peak, heat, torch.full_like(heat, NO_LOGIT)).flatten(1)
        score, index = flat.topk(self.queries, dim=1)
        cls = torch.div(index, cells, rounding_mode="floor")
        cell = index - cls * cells
        y = torch.div(cell, side, rounding_mode="floor")
        x = cell - y * side

        def at_cell(dense: Tensor) -> Tensor:
            channels = dense.shape[1]
            return dense.float().flatten(2).transpose(1, 2).gather(1, cell.unsqueeze(-1).expand(-1, -1, channels))

        box = at_cell(boxes)
        centre = (torch.stack([x, y], -1).to(box.dtype) + 0.5 + box[..., :2]) / side
        extent = box[..., 2:].clamp(-3.0, 4.0).exp() / side
        low, high = (centre - extent / 2).clamp(0, 1), (centre + extent / 2).clamp(0, 1)
        pred_boxes = torch.cat([(low + high) / 2, high - low], -1)

        is_class = torch.arange(NUM_CLASSES, device=cls.device) == cls.unsqueeze(-1)
        yes, no = F.logsigmoid(score).unsqueeze(-1), F.logsigmoid(-score).unsqueeze(-1)
        classes = torch.where(is_class, yes.clamp(min=NO_LOGIT), torch.full_like(yes, NO_LOGIT))
        return torch.cat([classes, no], -1), pred_boxes, at_cell(colors)
