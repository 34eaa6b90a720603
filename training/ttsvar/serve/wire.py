"""Tokens, images and pictures as they go over the wire, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttsvar.serve.errors import invalid
from ttsvar.serve.fields import Fields


@dataclass(frozen=True)
class Picture:
    """What a view shows: frames ``[n, h, w, 3]`` (uint8), and the share of their pixels that mean anything yet."""

    frames: np.ndarray
    coverage: float = 1.0


def bytes_of_pictures(pictures: Sequence[Picture]) -> bytes:
    """A line of JSON with an entry for each picture, and all their pixels after it."""
    head = []
    for picture in pictures:
        frames, height, width, _ = picture.frames.shape
        head.append({"width": width, "height": height, "frames": frames, "coverage": picture.coverage})
    line = json.dumps(head, separators=(",", ":")) + "\n"
    return line.encode() + b"".join(picture.frames.tobytes() for picture in pictures)


def wire_bits(bits: np.ndarray, width: int) -> dict:
    """Tokens of so many bits each, packed, the first one highest."""
    return {"count": len(bits) // width, "base64": base64.b64encode(np.packbits(bits).tobytes()).decode()}


def take_bits(fields: Fields, count: int, width: int) -> np.ndarray:
    """The inverse of :func:`wire_bits`: ``count`` tokens, and nothing else, as a uint8 array of 0 and 1."""
    given, packed = fields.integer("count", 0), take_base64(fields)
    fields.end()
    if given != count:
        raise invalid(f"{fields.path}: {given} tokens given, {count} needed")
    needed = -(-count * width // 8)
    if len(packed) != needed:
        raise invalid(f"{fields.path}: {len(packed)} bytes given, {needed} needed")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count * width)


def take_image(fields: Fields) -> np.ndarray:
    """An image ``[h, w, 3]`` (uint8)."""
    width, height, data = fields.integer("width", 1), fields.integer("height", 1), take_base64(fields)
    fields.end()
    if len(data) != width * height * 3:
        raise invalid(f"{fields.path} has {len(data)} bytes, but {width * height * 3} are needed")
    return np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()


def take_base64(fields: Fields) -> bytes:
    text: Any = fields.take("base64", "bytes in base64", lambda value: isinstance(value, str))
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise invalid(f"{fields.where('base64')} is no base64") from error
