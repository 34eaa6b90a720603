"""Tokenizer rules and the T5-style encoder."""

from __future__ import annotations

import pytest
import torch
import transformers

from ttsvar.text.encoder import TextConfig, TextEncoder
from ttsvar.text.phrases import vocabulary
from ttsvar.text.tokenizer import Tokenizer
from ttsvar.world import CLASSES, World, WorldConfig, geneval_prompts
from ttsvar.world.vocabulary import naive_plural, plural

CASES = [
    ("a photo of two dogs", "two dog"),
    ("a photo of four benchs", "four bench"),
    ("A Photo Of THREE Wine Glasss", "three wine_glass"),
    ("an image of an orange orange and a dog", "color_orange orange and dog"),
    ("a photo of three oranges", "three orange"),
    ("a photo of an orange and a blue tv remote", "orange and blue tv_remote"),
    ("an orange hot dog", "color_orange hot_dog"),
    ("a dog to the left of a cat", "dog left_of cat"),
    ("a photo of a dog right of a tv", "dog right_of tv"),
    ("a kite over a boat", "kite above boat"),
    ("a boat under a kite", "boat below kite"),
    ("a red apple, a blue car", "red apple and blue car"),
    ("a dog, and a cat", "dog and cat"),
    ("a dog next to a teddy bear", "dog and teddy_bear"),
    ("a bear with teddy bears", "bear and teddy_bear"),
    ("2 sofas", "two couch"),
    ("a picture showing one cup", "one cup"),
    ("a hot-dog and a dog’s cat", "hot_dog and dog <unk> cat"),
    ("café àdog 日本", "<unk> <unk> <unk>"),
    ("cattle", "<unk>"),
    ("a photo of a dragon", "<unk>"),
    ("", ""),
]


@pytest.mark.parametrize(("caption", "expected"), CASES)
def test_captions(caption: str, expected: str) -> None:
    assert Tokenizer().tokens(caption) == [*expected.split(), "</s>"]


def test_vocabulary_is_fixed() -> None:
    tokens = vocabulary()
    assert tokens[:3] == ["<pad>", "</s>", "<unk>"]
    assert len(tokens) == len(set(tokens)) == 102


def test_every_class_form_is_one_token() -> None:
    tokenizer = Tokenizer()
    for name in CLASSES:
        for form in (name, plural(name), naive_plural(name)):
            assert tokenizer.tokens(f"four {form}") == ["four", name.replace(" ", "_"), "</s>"]


def test_no_unknown_words_in_the_world() -> None:
    tokenizer = Tokenizer()
    captions = [s.caption for s in World(WorldConfig(), 5).batch(0, 200).scenes]
    captions += [m["prompt"] for m in geneval_prompts(60, 3)]
    assert all(tokenizer.unk_id not in tokenizer.encode(c) for c in captions)


def test_long_captions_keep_the_end_token() -> None:
    ids = Tokenizer().encode("dog and " * 40)
    assert len(ids) == 32 and ids[-1] == Tokenizer.eos_id


def test_padding_does_not_change_states() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig()).eval()
    ids = torch.tensor([[5, 9, 1]])
    padded = torch.tensor([[5, 9, 1, 0, 0]])
    alone, inside = encoder(ids), encoder(padded, padded != 0)
    assert torch.allclose(alone, inside[:, :3], atol=1e-5)


def test_same_as_hugging_face() -> None:
    config = TextConfig(d_model=32, d_kv=8, d_ff=48, num_heads=2)
    torch.manual_seed(0)
    ours = TextEncoder(config).eval()
    theirs = transformers.T5EncoderModel(transformers.T5Config(**config.huggingface())).eval()
    missing = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {"encoder.embed_tokens.weight"}
    ids = torch.randint(3, 102, (2, 20))
    assert torch.allclose(ours(ids), theirs(ids).last_hidden_state, atol=1e-5)
