"""The text encoder's folder in Hugging Face layout: configuration, tokenizer files, and a tiny stand-in for tests."""

from __future__ import annotations

import json
from pathlib import Path

from ttsvar.infinity.official.errors import ExportError
from ttsvar.text.encoder import TextConfig

T5_XL = TextConfig(32128, 2048, 64, 5120, 24, 32)
_FIELDS = {
    "vocab_size": "vocab_size", "d_model": "d_model", "d_kv": "d_kv", "d_ff": "d_ff", "num_layers": "num_layers",
    "num_heads": "num_heads", "buckets": "relative_attention_num_buckets",
}  # fmt: skip


def read_config(folder: Path, width: int) -> TextConfig:
    """``config.json`` of a T5 folder whose encoder has ``width`` channels."""
    config = _json(folder, "config.json")
    if config.get("model_type") != "t5" or config.get("feed_forward_proj") != "gated-gelu":
        raise ExportError(
            f"{folder / 'config.json'} describes {config.get('model_type')} with "
            f"{config.get('feed_forward_proj', 'relu')}; Infinity needs T5 with gated-gelu (google/flan-t5-xl)"
        )
    missing = [name for name in _FIELDS.values() if not isinstance(config.get(name), int)]
    if missing:
        raise ExportError(f"{folder / 'config.json'} lacks {', '.join(missing)}; download the folder again")
    if config["d_model"] != width:
        raise ExportError(
            f"{folder} is a T5 of width {config['d_model']}, but this transformer needs {width}; "
            + ("use google/flan-t5-xl" if width == T5_XL.d_model else "use the encoder it was trained with")
        )
    return TextConfig(
        **{ours: config[theirs] for ours, theirs in _FIELDS.items()},
        max_distance=config.get("relative_attention_max_distance", 128),
        epsilon=config.get("layer_norm_epsilon", 1e-6),
    )


def copy_tokenizer(folder: Path, out: Path, config: TextConfig, max_length: int) -> list[str]:
    """Copy the tokenizer; the length limit becomes the transformer's. Returns the names of the written files."""
    tokenizer = _json(folder, "tokenizer.json")
    settings = _json(folder, "tokenizer_config.json")
    settings["model_max_length"] = max_length
    for part in ("truncation", "padding"):
        tokenizer[part] = None
    return _write(out, tokenizer, settings, config)


def _json(folder: Path, name: str) -> dict:
    path = folder / name
    if not path.exists():
        hint = "download the whole folder of google/flan-t5-xl"
        if name == "tokenizer.json" and (folder / "spiece.model").exists():
            hint = f"make it with transformers: AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained(...)"
        raise ExportError(f"{path} is missing; {hint}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is no valid JSON ({error}); download it again") from error


def _write(out: Path, tokenizer: dict, settings: dict, config: TextConfig) -> list[str]:
    files = {"tokenizer.json": tokenizer, "tokenizer_config.json": settings, "config.json": config.huggingface()}
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return list(files)


WORDS = (
    "a an the of and or in on to with left right above below photo picture two three four cat dog bird bear horse cup "
    "cake car bus apple orange pizza clock chair boat red green blue yellow black white brown pink purple small large"
).split()


def tiny_vocabulary() -> list[list]:
    """Pieces with scores in the order of T5: pad, end, unknown, then words, letters and marks."""
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", -20.0], ["▁", -2.0]]
    pieces += [[f"▁{word}", -3.0 - i / 100] for i, word in enumerate(WORDS)]
    return pieces + [[mark, -8.0] for mark in "abcdefghijklmnopqrstuvwxyz0123456789.,'-"]


def write_tiny_tokenizer(out: Path, config: TextConfig, max_length: int) -> list[str]:
    """A tokenizer in the layout of T5's (Unigram over ``▁`` words, end token appended) that knows a few words."""
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
            for i, token in enumerate(("<pad>", "</s>", "<unk>"))
        ],
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": tiny_vocabulary(), "byte_fallback": False},
    }  # fmt: skip
    settings = {
        "tokenizer_class": "T5Tokenizer", "model_max_length": max_length, "pad_token": "<pad>", "eos_token": "</s>",
        "unk_token": "<unk>", "legacy": True, "clean_up_tokenization_spaces": False, "extra_ids": 0,
    }  # fmt: skip
    return _write(out, tokenizer, settings, config)
