"""Small tokenizers of the originals' kinds (CLIP's lower-cased BPE, BERT's WordPiece, SigLIP's Unigram), for fixtures."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "a photo of a red car above a green bench", "a photo of two dogs and three cats", "an image of a blue bird",
    "A photo depicts a white cup left of a black vase", "a picture showing four orange clocks under a tree",
] * 3  # fmt: skip
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'\"-")


def clip_tokenizer(context: int) -> tuple[Tokenizer, dict]:
    """CLIP's own pipeline with few merges; the end of text has the largest id, as pooling expects."""
    start, end = "<|startoftext|>", "<|endoftext|>"
    trained = Tokenizer(models.BPE(unk_token=end, end_of_word_suffix="</w>"))
    trained.normalizer = normalizers.Lowercase()
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=160, end_of_word_suffix="</w>", initial_alphabet=LETTERS, show_progress=False)
    trained.train_from_iterator(CORPUS, trainer)
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    pieces += [f"{letter}</w>" for letter in LETTERS if f"{letter}</w>" not in model["vocab"]]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, start, end])}
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=end, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        (end, vocabulary[end]), (start, vocabulary[start]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([start, end])
    config = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": context, "bos_token": start, "eos_token": end,
        "unk_token": end, "pad_token": end,
    }  # fmt: skip
    return tokenizer, config


def bert_tokenizer() -> tuple[Tokenizer, dict]:
    """bert-base-uncased's pipeline with a small vocabulary."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for line in CORPUS for word in line.lower().split()})
    pieces = [*special, *LETTERS, *(f"##{letter}" for letter in LETTERS), *(w for w in words if len(w) > 1)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    config = {
        "tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True, "pad_token": "[PAD]",
        "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
    }  # fmt: skip
    return tokenizer, config


def siglip_tokenizer(context: int) -> tuple[Tokenizer, dict]:
    """SigLIP's pipeline with a small vocabulary: lower case, no punctuation, sentence pieces, `</s>` as end and padding."""
    tokenizer = Tokenizer(models.Unigram())
    punctuation = Regex(r"[!-/:-@\[-`{-~]")
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(), normalizers.Replace(punctuation, ""), normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", initial_alphabet=LETTERS,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.decoder = decoders.Metaspace()
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context, "eos_token": "</s>",
        "pad_token": "</s>", "unk_token": "<unk>",
    }  # fmt: skip
    return tokenizer, config


def save(tokenizer: Tokenizer, config: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
