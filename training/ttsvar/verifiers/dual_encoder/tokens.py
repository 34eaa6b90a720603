"""Captions to ids with the shared tokenizer (tokenizer.json), padded on the right."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class CaptionTokenizer:
    """Truncation keeps the last id (EOS): the text tower pools there."""

    def __init__(self, path: Path | str, context_length: int = 16) -> None:
        from tokenizers import Tokenizer

        self.path = Path(path)
        self.context_length = context_length
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.vocab_size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.pad_id = _pad_id(json.loads(self.path.read_text(encoding="utf-8")), self._tokenizer.get_vocab())

    def __call__(self, captions: list[str], pad_to: int | None = None) -> tuple[Tensor, Tensor]:
        """-> input_ids, attention_mask i64 [T,L]; L is the longest row, or ``pad_to``."""
        rows = [e.ids for e in self._tokenizer.encode_batch(captions)]
        rows = [r if len(r) <= self.context_length else r[: self.context_length - 1] + r[-1:] for r in rows]
        length = pad_to or max(1, max(len(r) for r in rows))
        ids = torch.full((len(rows), length), self.pad_id, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[i, : len(row)] = 1
        return ids, mask


def _pad_id(spec: dict, vocab: dict[str, int]) -> int:
    if spec.get("padding"):
        return int(spec["padding"]["pad_id"])
    return next((vocab[name] for name in ("<pad>", "[PAD]", "<|pad|>") if name in vocab), 0)
