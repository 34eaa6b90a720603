"""Reads fields of a JSON object with types and bounds; every complaint names the field and what it should have been."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ttsvar.serve.errors import invalid

MISSING = object()
SAFE_INTEGER = 2**53 - 1


class Fields:
    """One JSON object. Fields that nobody asked for are refused by :meth:`end`: a client that sends more than the
    server understands must not get an answer to less."""

    def __init__(self, value: Any, path: str = ""):
        if not isinstance(value, dict):
            raise invalid(f"{path or 'the request'} must be a JSON object")
        self._values, self._path, self._seen = value, path, set()

    def take(self, name: str, kind: str, fits: Callable[[Any], bool], default: Any = MISSING) -> Any:
        """The field's value; ``kind`` says what it must be."""
        self._seen.add(name)
        value = self._values.get(name, MISSING)
        if value is MISSING or (value is None and default is None):
            if default is MISSING:
                raise invalid(f"{self.where(name)} is missing; it must be {kind}")
            return default
        if not fits(value):
            raise invalid(f"{self.where(name)} must be {kind}")
        return value

    def text(self, name: str, longest: int, default: Any = MISSING) -> Any:
        return self.take(name, f"a text of at most {longest} characters", lambda v: is_text(v, longest), default)

    def integer(self, name: str, least: int, most: int = SAFE_INTEGER) -> int:
        return self.take(name, f"a whole number from {least}", lambda v: is_integer(v) and least <= v <= most)

    def share(self, name: str) -> float:
        return self.take(name, "a number above 0 and at most 1", lambda v: is_number(v) and 0 < v <= 1)

    def object(self, name: str, default: Any = MISSING) -> Any:
        return self.take(name, "a JSON object", lambda v: isinstance(v, dict), default)

    def list(self, name: str, kind: str, fits: Callable[[Any], bool], default: Any = MISSING) -> Any:
        return self.take(
            name, f"a list of {kind}", lambda v: isinstance(v, list) and all(fits(item) for item in v), default
        )

    def inner(self, name: str) -> Fields:
        return Fields(self.object(name), self.where(name))

    @property
    def path(self) -> str:
        return self._path

    def where(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def end(self) -> None:
        unknown = sorted(set(self._values) - self._seen)
        if unknown:
            raise invalid(f"unknown field {self.where(unknown[0])}; this server speaks another version of the protocol")


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= SAFE_INTEGER


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_text(value: Any, longest: int) -> bool:
    if not isinstance(value, str) or len(value) > longest:
        return False
    # Half of a surrogate pair is no character, and has no bytes that could be hashed alike in every language.
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
