"""The one exception that users of the exporter see."""

from __future__ import annotations

GIB = 2**30


class ExportError(Exception):
    """A failure that the user can cause; the message says what was wrong, where, and what to do."""


def size(count: float) -> str:
    """Bytes for people: ``"3.2 GiB"``, ``"812 KiB"``."""
    for unit, factor in (("GiB", GIB), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"
