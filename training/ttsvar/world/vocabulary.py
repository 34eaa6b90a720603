"""Words and colours of the world: GenEval's classes, colours, relations and their surface forms."""

from __future__ import annotations

CLASSES: list[str] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "computer mouse", "tv remote",
    "computer keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock",
    "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
]  # fmt: skip
CLASS_INDEX: dict[str, int] = {name: i for i, name in enumerate(CLASSES)}

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (216, 30, 36),
    "orange": (250, 132, 16),
    "yellow": (252, 216, 40),
    "green": (40, 156, 60),
    "blue": (32, 92, 220),
    "purple": (124, 48, 184),
    "pink": (250, 124, 188),
    "brown": (116, 68, 34),
    "black": (26, 26, 30),
    "white": (248, 248, 248),
}
COLOR_NAMES: list[str] = list(COLORS)

RELATIONS: tuple[str, ...] = ("left of", "right of", "above", "below")

TAGS: tuple[str, ...] = ("single_object", "two_object", "counting", "colors", "position", "color_attr")

NUMBERS: dict[int, str] = {1: "one", 2: "two", 3: "three", 4: "four"}

# Correct plurals that differ from GenEval's naive "name + s".
_PLURALS: dict[str, str] = {
    "person": "people", "bus": "buses", "bench": "benches", "sheep": "sheep", "knife": "knives", "skis": "skis",
    "scissors": "scissors", "couch": "couches", "toothbrush": "toothbrushes", "computer mouse": "computer mice",
    "wine glass": "wine glasses", "sandwich": "sandwiches",
}  # fmt: skip


def plural(name: str) -> str:
    """English plural of a class name."""
    return _PLURALS.get(name, name + "s")


def naive_plural(name: str) -> str:
    """GenEval's plural: always appends an s ("benchs", "sheeps")."""
    return name + "s"


def with_article(words: str) -> str:
    """GenEval's rule: "an" before a vowel letter."""
    return ("an " if words[0] in "aeiou" else "a ") + words
