"""Tokenizer of the embedded generator, stored in Hugging Face's ``tokenizer.json`` format.

    python -m ttsvar.text.tokenizer --out models/generator

The normaliser lower-cases, maps plurals, synonyms and phrases to single words ("hot dogs" -> ``hot_dog``,
"to the left of" -> ``left_of``) and drops filler words, so that a small vocabulary of whole words suffices. The
model type is WordPiece without continuation pieces (equal to WordLevel), because transformers.js knows WordPiece.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path

from ttsvar.text.phrases import EOS, PAD, UNK, rules, vocabulary

MAX_LENGTH = 32


def tokenizer_json() -> dict:
    """Content of ``tokenizer.json``."""
    vocab = {token: index for index, token in enumerate(vocabulary())}
    replace = [{"type": "Replace", "pattern": {"Regex": p}, "content": c} for p, c in rules()]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocab[t], "content": t, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True,
            }
            for t in (PAD, EOS, UNK)
        ],  # fmt: skip
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *replace]},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": EOS, "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": EOS, "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": EOS, "type_id": 0}},
            ],
            "special_tokens": {EOS: {"id": EOS, "ids": [vocab[EOS]], "tokens": [EOS]}},
        },  # fmt: skip
        "decoder": None,
        "model": {
            "type": "WordPiece", "unk_token": UNK, "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab,
        },
    }  # fmt: skip


def tokenizer_config() -> dict:
    """Content of ``tokenizer_config.json``."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH, "pad_token": PAD,
        "eos_token": EOS, "unk_token": UNK, "clean_up_tokenization_spaces": False,
    }  # fmt: skip


def write(folder: Path, encoder_config: dict) -> list[str]:
    """Write ``tokenizer.json``, ``tokenizer_config.json`` and ``config.json``; returns the file names."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "tokenizer.json": tokenizer_json(), "tokenizer_config.json": tokenizer_config(), "config.json": encoder_config,
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return list(files)


@cache
def _backend():  # noqa: ANN202 - tokenizers.Tokenizer
    import tokenizers

    return tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json()))


class Tokenizer:
    """Caption -> ids; the Python ``tokenizers`` package on the same JSON that ships with the model."""

    pad_id, eos_id, unk_id = 0, 1, 2

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self.max_length = max_length
        self.vocabulary = vocabulary()
        self._known: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, caption: str) -> list[int]:
        """Ids with the end token, cut to ``max_length`` (the end token is kept)."""
        if caption not in self._known:
            if len(self._known) > 200_000:
                self._known.clear()
            ids = _backend().encode(caption).ids
            if len(ids) > self.max_length:
                ids = [*ids[: self.max_length - 1], self.eos_id]
            self._known[caption] = ids
        return list(self._known[caption])

    def tokens(self, caption: str) -> list[str]:
        return [self.vocabulary[i] for i in self.encode(caption)]


def main() -> None:
    from ttsvar.text.encoder import TextConfig

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name in write(arguments.out, TextConfig(vocab_size=len(vocabulary())).huggingface()):
        print(arguments.out / name)


if __name__ == "__main__":
    main()
