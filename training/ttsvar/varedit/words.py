"""The embedded tokenizer with the words of instructions: five verbs, four directions."""

from __future__ import annotations

import json
from pathlib import Path

from ttsvar.text import tokenizer as base
from ttsvar.text.phrases import vocabulary

VERBS = ("make", "replace", "add", "remove", "move")
DIRECTIONS = ("left", "right", "up", "down")
_EDGE = "(?<![a-z0-9_]){}(?![a-z0-9_])"


def tokenizer_json() -> dict:
    """The embedded one; the new words follow the old, so that the trained embeddings keep their places."""
    content = base.tokenizer_json()
    vocab = content["model"]["vocab"]
    for word in (*VERBS, *DIRECTIONS):
        vocab[word] = len(vocab)
    rules = [("(?:turn|paint|colou?r|change)", "make"), ("(?:delete|erase)", "remove"), ("(?:to|into|by|from)", " ")]
    content["normalizer"]["normalizers"] += [
        {"type": "Replace", "pattern": {"Regex": _EDGE.format(p)}, "content": c} for p, c in rules
    ]
    return content


class EditTokenizer:
    """Instruction -> ids with the end token."""

    def __init__(self) -> None:
        import tokenizers

        self._backend = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json()))

    def __len__(self) -> int:
        return len(vocabulary()) + len(VERBS) + len(DIRECTIONS)

    def encode(self, text: str) -> list[int]:
        return self._backend.encode(text).ids


def write(folder: Path, encoder_config: dict) -> list[str]:
    """Write the tokenizer's files; returns their names."""
    names = base.write(folder, encoder_config)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(), indent=1) + "\n", encoding="utf-8")
    return names
