"""Surface forms of the embedded vocabulary: ordered (pattern, replacement) rules and the token list.

The patterns use only what Rust's Oniguruma and JavaScript's ``RegExp`` (flag ``u``) share: ``\\s``, alternation,
look-ahead and look-behind. They are applied one after the other to lower-cased text. Word borders are spelled out for
ASCII: the JavaScript library expands ``\\b`` to all of Unicode, which costs 0.4 s for a hundred rules.
"""

from __future__ import annotations

from ttsvar.world.vocabulary import CLASSES, COLOR_NAMES, NUMBERS, naive_plural, plural

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
ORANGE_COLOR = "color_orange"
_START, _END = "(?<![a-z0-9_])", "(?![a-z0-9_])"

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "person": ("man", "woman", "men", "women", "human", "humans"),
    "bicycle": ("bike", "bikes"), "car": ("automobile", "automobiles"), "motorcycle": ("motorbike", "motorbikes"),
    "airplane": ("aeroplane", "aeroplanes", "plane", "planes"), "boat": ("ship", "ships"),
    "dog": ("puppy", "puppies"), "cat": ("kitten", "kittens"), "horse": ("pony", "ponies"),
    "handbag": ("purse", "purses"), "tie": ("necktie", "neckties"), "sports ball": ("ball", "balls"),
    "cup": ("mug", "mugs"), "donut": ("doughnut", "doughnuts"), "couch": ("sofa", "sofas"),
    "potted plant": ("plant", "plants", "houseplant", "houseplants"), "dining table": ("table", "tables"),
    "tv": ("television", "televisions", "tv set", "tv sets"), "computer mouse": ("mouse", "mice"),
    "tv remote": ("remote control", "remote controls", "remote", "remotes"),
    "computer keyboard": ("keyboard", "keyboards"),
    "cell phone": ("mobile phone", "mobile phones", "smartphone", "smartphones", "phone", "phones"),
    "refrigerator": ("fridge", "fridges"), "hair drier": ("hair dryer", "hair dryers", "hairdryer", "hairdryers"),
    "traffic light": ("stoplight", "stoplights"), "backpack": ("rucksack", "rucksacks"),
    "teddy bear": ("teddy", "teddies"), "stop sign": ("stopsign", "stopsigns"),
}  # fmt: skip
_RELATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("left_of", ("to the left of", "on the left of", "left of")),
    ("right_of", ("to the right of", "on the right of", "right of")),
    ("above", ("on top of", "above", "over")),
    ("below", ("below", "underneath", "beneath", "under")),
    ("and", ("next to", "beside", "together with", "along with", "and", "with")),
)
_FILLERS = (
    "a an the photo photos photograph picture image icon drawing illustration rendering scene of showing shows is are "
    "there some that this it in please draw generate realistic cute"
).split()


def token_of(phrase: str) -> str:
    """Vocabulary entry of a class name: words joined by underscores."""
    return phrase.replace(" ", "_")


def vocabulary() -> list[str]:
    """Tokens in id order; 0, 1 and 2 are padding, end and unknown."""
    colors = [ORANGE_COLOR if c == "orange" else c for c in COLOR_NAMES]
    numbers = [NUMBERS[n] for n in sorted(NUMBERS)]
    return [PAD, EOS, UNK, *map(token_of, CLASSES), *colors, *numbers, *(name for name, _ in _RELATIONS)]


def _words(forms: list[str] | tuple[str, ...]) -> str:
    """Pattern of whole phrases, longest first, any white space between words."""
    ordered = sorted(dict.fromkeys(forms), key=lambda f: (-len(f), f))
    return _START + "(?:" + "|".join(f.replace(" ", r"\s+") for f in ordered) + ")" + _END


def _class_rules() -> list[tuple[str, str]]:
    """One rule per class; names of several words first, so that "teddy bear" is gone before "bear"."""
    rules = []
    for name in CLASSES:
        if name == "orange":
            continue
        for form in (name, *_SYNONYMS.get(name, ())):
            forms = (name, plural(name), naive_plural(name)) if form == name else (form,)
            rules.append((max(f.count(" ") for f in forms), forms, token_of(name)))
    grouped: dict[tuple[int, str], list[str]] = {}
    for spaces, forms, token in rules:
        grouped.setdefault((spaces, token), []).extend(forms)
    return [(_words(forms), token) for (_, token), forms in sorted(grouped.items(), key=lambda i: -i[0][0])]


def rules() -> list[tuple[str, str]]:
    """All replacement rules in order."""
    tokens = sorted((token_of(c) for c in CLASSES), key=lambda t: (-len(t), t))
    return [
        (r"[.!?;:\"'`()\[\]{}/‘’“”„–—-]+", " "),
        (r"[^ -~\s]+", "x"),  # letters outside ASCII: what is a word character differs between Rust and JavaScript
        (r"\s*,\s*", " and "),
        *[(_words(forms), name) for name, forms in _RELATIONS],
        *_class_rules(),
        (_START + r"orange(?=\s+(?:" + "|".join([*tokens, "oranges"]) + ")" + _END + ")", ORANGE_COLOR),
        (_START + "oranges?" + _END, "orange"),
        *[(f"{_START}{digit}{_END}", word) for digit, word in NUMBERS.items()],
        (_words(_FILLERS), " "),
        (_START + r"and(?:\s+and)+" + _END, "and"),
    ]
