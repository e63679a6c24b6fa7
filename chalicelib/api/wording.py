"""What msgspec says about a bad value, in words for the caller: no pattern, no type of Python's."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from chalicelib.fields import RULES

_KINDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "null": "null", "object": "an object", "array": "a list",
}  # fmt: skip
_PARTS = {"str": "characters", "array": "elements", "object": "members", "bytes": "bytes"}
_STEP = re.compile(r"[^.\[\]]+|\[[^\]]*\]")


def in_words(message: str, kind: type, path: str) -> str:
    """What msgspec says, in words.

    Args:
        message: of the `ValidationError`, without the place.
        kind: the structure that was read.
        path: the place in it.
    """
    for pattern, say in _FORMS:
        if (found := pattern.fullmatch(message)) is not None:
            return say(found)
    if message.startswith("Invalid enum value"):
        allowed = _allowed(kind, path)
        return f"must be one of {', '.join(allowed)}" if allowed else "is not one of those allowed"
    # Of our own: a `ValueError` of `fields` comes through as it is.
    return message


def _regex(found: re.Match[str]) -> str:
    rule = next((rule for pattern, rule in RULES.items() if repr(pattern) == found[1]), None)
    return f"must be {rule or 'of another form'}"


def _length(found: re.Match[str]) -> str:
    bound = {"<=": "at most", ">=": "at least", "==": "exactly"}[found[2]]
    if (found[2], found[3]) == (">=", "1"):
        return "must not be empty"
    return f"must have {bound} {found[3]} {_PARTS.get(found[1], 'parts')}"


def _bound(found: re.Match[str]) -> str:
    words = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
    return f"must be {words[found[1]]} {found[2]}"


def _type(found: re.Match[str]) -> str:
    wanted = " or ".join(_KINDS.get(name, name) for name in found[1].split(" | "))
    given = "one with a fraction" if found[2] == "float" else _KINDS.get(found[2], found[2])
    return f"must be {wanted}, not {given}"


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `str` matching regex (.*)", re.DOTALL), _regex),
    (re.compile(r"Expected `(\w+)` of length ([<>=]=) (\d+)"), _length),
    (re.compile(r"Expected `\w+` ([<>]=?) (-?[\d.]+)"), _bound),
    (re.compile(r"Expected `([^`]*)`, got `([^`]*)`"), _type),
    (
        re.compile(r"Object missing required field `(.*)`", re.DOTALL),
        lambda found: f"the member {found[1]} is missing",
    ),
    (
        re.compile(r"Object contains unknown field `(.*)`", re.DOTALL),
        lambda found: f"there is no member {found[1]} here",
    ),
    (
        re.compile(r"(?:Integer|Number) value out of range|Number out of range"),
        lambda _: "the number is too large",
    ),
)  # fmt: skip


def _allowed(kind: type, path: str) -> list[str]:
    """The words that may stand at a place."""
    from msgspec import inspect  # noqa: PLC0415 - only the answer to a wrong word waits for it

    node: Any = inspect.type_info(kind)
    for step in _STEP.findall(path):
        node = _inside(node, step)
    found = [one for one in _members(node) if hasattr(one, "values") or hasattr(one, "cls")]
    words: list[str] = []
    for one in found:
        if isinstance(one, inspect.LiteralType):
            words += [str(value) for value in one.values]
        elif isinstance(one, inspect.EnumType):
            words += [str(member.value) for member in one.cls]
    return sorted(words)


def _members(node: Any) -> list[Any]:  # noqa: ANN401 - msgspec's description of a type
    return list(node.types) if hasattr(node, "types") else [node]


def _inside(node: Any, step: str) -> Any:  # noqa: ANN401 - msgspec's description of a type
    for one in _members(node):
        if step.startswith("["):
            inner = getattr(one, "value_type", None) or getattr(one, "item_type", None)
            if inner is not None:
                return inner
        for field in getattr(one, "fields", ()):
            if field.encode_name == step:
                return field.type
    return msgspec.UNSET
