"""The embedded tokenizer with the words of motion: four directions, the middle lane, what is driven past."""

from __future__ import annotations

import json
from pathlib import Path

from ttsvar.text import tokenizer as base
from ttsvar.text.phrases import vocabulary

WORDS = ("left", "right", "up", "down", "middle", "past")
_FILLERS = "(?:moving|moves|driving|drives|going|goes|to|in|on|at|side|clip|video)"


def tokenizer_json() -> dict:
    """The embedded one; the new words follow the old, so that the trained embeddings keep their places."""
    content = base.tokenizer_json()
    vocab = content["model"]["vocab"]
    for word in WORDS:
        vocab[word] = len(vocab)
    pattern = f"(?<![a-z0-9_]){_FILLERS}(?![a-z0-9_])"
    content["normalizer"]["normalizers"].append({"type": "Replace", "pattern": {"Regex": pattern}, "content": " "})
    return content


class MotionTokenizer:
    """Prompt -> ids with the end token."""

    def __init__(self) -> None:
        import tokenizers

        self._backend = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json()))

    def __len__(self) -> int:
        return len(vocabulary()) + len(WORDS)

    def encode(self, text: str) -> list[int]:
        return self._backend.encode(text).ids


def write(folder: Path, encoder_config: dict) -> list[str]:
    """Write the tokenizer's files; returns their names."""
    names = base.write(folder, encoder_config)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(), indent=1) + "\n", encoding="utf-8")
    return names
