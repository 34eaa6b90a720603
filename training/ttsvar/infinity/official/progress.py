"""A progress bar on stderr, for work that is measured in bytes."""

from __future__ import annotations

import sys
import time

from ttsvar.infinity.official.errors import size

WIDTH = 28
INTERVAL = 0.2


class Progress:
    """On a terminal one line that is redrawn; elsewhere one line per tenth, so that logs stay readable."""

    def __init__(self, total: int, quiet: bool = False) -> None:
        self.total = max(total, 1)
        self.done = 0
        self.quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._shown, self._tenth, self._start = 0.0, -1, time.monotonic()

    def advance(self, count: int, label: str) -> None:
        """Add ``count`` bytes of work done on ``label``."""
        self.done = min(self.done + count, self.total)
        if self.quiet:
            return
        share, now = self.done / self.total, time.monotonic()
        if self._terminal:
            if now - self._shown < INTERVAL and share < 1:
                return
            self._shown = now
            filled = int(share * WIDTH)
            bar = "#" * filled + "-" * (WIDTH - filled)
            print(f"\r[{bar}] {share:4.0%} {self._left(now, share):>9} {label:40.40}", end="", file=sys.stderr)
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            print(f"{share:4.0%} of {size(self.total)}, {label}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._terminal and not self.quiet:
            print(file=sys.stderr)

    def say(self, text: str) -> None:
        """A line of its own, also while the bar stands."""
        if not self.quiet:
            print(f"\r{text:80}" if self._terminal else text, file=sys.stderr, flush=True)

    def _left(self, now: float, share: float) -> str:
        seconds = (now - self._start) * (1 - share) / max(share, 1e-9)
        return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
