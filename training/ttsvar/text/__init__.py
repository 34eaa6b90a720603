"""Text side of the embedded generator: phrase tokenizer and a small T5-style encoder."""


def __getattr__(name: str):  # noqa: ANN202 - lazy, so that `python -m ttsvar.text.tokenizer` imports it once
    if name == "Tokenizer":
        from .tokenizer import Tokenizer

        return Tokenizer
    raise AttributeError(name)
