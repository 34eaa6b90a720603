"""The 15 aspect ratios and four sizes that Infinity was trained for, as schedules with their rotary positions.

Source: ``infinity/utils/dynamic_resolution.py`` of FoundationVision/Infinity. A size is a prefix of the template's 13
grids; positions are always normalised by the template's last grid, whatever the size.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttsvar.infinity.schedule import Grid, Schedule

SIZES = {"0.06M": 7, "0.25M": 10, "0.60M": 12, "1M": 13}
SQUARE_SIDES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64)
# height / width of the template, its name as width:height, and its grids "height.width"
_PORTRAIT = (
    (1.25, (4, 5), "1.1 2.2 3.3 5.4 10.8 15.12 20.16 25.20 30.24 35.28 45.36 55.44 70.56"),
    (1.333, (3, 4), "1.1 2.2 4.3 8.6 12.9 16.12 20.15 24.18 28.21 36.27 48.36 60.45 72.54"),
    (1.5, (2, 3), "1.1 2.2 3.2 6.4 9.6 15.10 21.14 27.18 33.22 39.26 48.32 63.42 78.52"),
    (1.75, (4, 7), "1.1 2.2 3.3 7.4 11.6 14.8 21.12 28.16 35.20 42.24 56.32 70.40 84.48"),
    (2.0, (1, 2), "1.1 2.2 4.2 6.3 10.5 16.8 22.11 30.15 38.19 46.23 60.30 74.37 90.45"),
    (2.5, (2, 5), "1.1 2.2 5.2 10.4 15.6 20.8 25.10 30.12 40.16 50.20 65.26 80.32 100.40"),
    (3.0, (1, 3), "1.1 2.2 6.2 9.3 15.5 21.7 27.9 36.12 45.15 54.18 72.24 90.30 111.37"),
)


@dataclass(frozen=True)
class NamedSchedule:
    """``id`` is ``<width>:<height>@<size>``; ``ratio`` is height / width as the official templates round it."""

    id: str
    ratio: float
    size: str
    schedule: Schedule

    def entry(self, stride: int) -> dict:
        """The schedule in the manifest's form; ``stride`` is the VAE's number of pixels per latent cell."""
        positions = [self.schedule.axis(i) for i in range(len(self.schedule.scales))]
        height, width = self.schedule.vae_grids[-1]
        return {
            "id": self.id, "ratio": self.ratio, "pn": self.size, "pixels": [height * stride, width * stride],
            "scales": [list(grid) for grid in self.schedule.scales],
            "rope": {"y": [y for y, _ in positions], "x": [x for _, x in positions]},
        }  # fmt: skip


def _templates() -> list[tuple[float, str, tuple[Grid, ...]]]:
    templates = [(1.0, "1:1", tuple((side, side) for side in SQUARE_SIDES))]
    for ratio, (wide, high), text in _PORTRAIT:
        grids = tuple((int(h), int(w)) for h, w in (pair.split(".") for pair in text.split()))
        templates.append((ratio, f"{wide}:{high}", grids))
        landscape = tuple((w, h) for h, w in grids)
        templates.append((int(1 / ratio * 1000) / 1000, f"{high}:{wide}", landscape))
    return templates


def schedules(patchify: bool = False, sizes: tuple[str, ...] = tuple(SIZES)) -> list[NamedSchedule]:
    """All schedules of the given sizes, square first, in the order of the official table."""
    return [
        NamedSchedule(f"{name}@{size}", ratio, size, Schedule(grids[: SIZES[size]], grids[-1], patchify))
        for ratio, name, grids in _templates()
        for size in sizes
    ]
