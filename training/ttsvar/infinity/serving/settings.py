"""Settings as a search configures them: the rules of ``src/generators/next-scale/settings.ts``, in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from ttsvar.infinity.serving.shape import Settings
from ttsvar.serve.errors import invalid
from ttsvar.serve.fields import is_integer, is_number

# Where settings stand in a configuration.
PLACE = "model.options"
NAMES = ("guidance", "temperature", "topP", "topK", "guidanceUntil")

Rule = tuple[str, Callable[[Any], bool]]
BY_SCALE: dict[str, Rule] = {
    "guidance": ("a number from 0 to 100", lambda value: is_number(value) and 0 <= value <= 100),
    "temperature": ("a number above 0 and at most 100", lambda value: is_number(value) and 0 < value <= 100),
}
SINGLE: dict[str, Rule] = {
    "topP": ("above 0 and at most 1", lambda value: is_number(value) and 0 < value <= 1),
    "topK": ("a whole number from 1", lambda value: is_integer(value) and value >= 1),
    "guidanceUntil": ("a whole number from 0", lambda value: is_integer(value) and value >= 0),
}


def resolve_settings(own: Settings, given: dict, scales: int) -> Settings:
    """The model's settings with the given ones on top; single numbers are spread over all scales."""
    problems = [*_unknown(given), *_unfit(given)]
    if problems:
        raise invalid("; ".join(problems))
    until = given.get("guidanceUntil", min(own.guidance_until, scales))
    if until > scales:
        raise invalid(
            f"{PLACE}.guidanceUntil is {until}, but this model has scales 0 to {scales - 1}; {scales} keeps guidance "
            "everywhere"
        )
    return Settings(
        _spread("guidance", given, own.guidance, scales),
        _spread("temperature", given, own.temperature, scales),
        given.get("topP", own.top_p),
        until,
        given.get("topK", own.top_k),
    )


def describe_settings(settings: Settings) -> dict:
    """Settings in full, as a search knows them."""
    return {
        "guidance": list(settings.guidance), "temperature": list(settings.temperature), "topP": settings.top_p,
        **({} if settings.top_k is None else {"topK": settings.top_k}), "guidanceUntil": settings.guidance_until,
    }  # fmt: skip


def _unknown(given: dict) -> list[str]:
    problems = []
    for name in given:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, 1)
            hint = f'did you mean "{close[0]}"?' if close else f"it knows {', '.join(NAMES)}"
            problems.append(f"{PLACE}.{name[:80]}: this generator has no such setting; {hint}")
    return problems


def _unfit(given: dict) -> list[str]:
    problems = []
    for name, (kind, fits) in BY_SCALE.items():
        values = given.get(name, 1)
        if not (fits(values) or (isinstance(values, list) and values and all(fits(value) for value in values))):
            problems.append(f"{PLACE}.{name}: must be {kind}, or a list of such numbers, one per scale")
    for name, (kind, fits) in SINGLE.items():
        if name in given and not fits(given[name]):
            problems.append(f"{PLACE}.{name}: must be {kind}")
    return problems


def _spread(name: str, given: dict, own: Sequence[float], scales: int) -> list[float]:
    value = given.get(name)
    if value is None:
        return [own[min(scale, len(own) - 1)] for scale in range(scales)]
    if not isinstance(value, list):
        return [value] * scales
    if len(value) == scales:
        return value
    raise invalid(
        f"{PLACE}.{name} has {len(value)} values, but this model has {scales} scales; give one number, or one per scale"
    )
