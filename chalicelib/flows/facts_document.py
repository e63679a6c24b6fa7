"""A document of facts: what is taken, what is kept of it, and where two of them differ."""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import msgspec

from chalicelib.errors import Malformed, TooLarge
from chalicelib.fields import ShortText
from chalicelib.flows.hardware_fingerprints import (
    is_fingerprint,
    is_machine_id,
    machine_ids_first,
    masked,
)

LARGEST = 32 * 1024
DEEPEST = 6
_LONGEST_KEY = 128
_LONGEST_TEXT = 1024
_LARGEST_NUMBER = 2**64
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PLACE = 200
_VOLATILE = frozenset({"bytes_sent", "bytes_received"})
# What an element of a list is known by, so that another one before it changes nothing about it.
_NAMES = ("name", "mount")
# Between the members of a path of `differences`.
_MEMBERS = re.compile(r"[.\[\]]+")
Identify = Callable[[Any], Any]


def check(facts: dict[str, Any]) -> None:
    """Refuse what is no document of facts. Members that nobody knows are an agent's to add.

    Raises:
        TooLarge: over `LARGEST` bytes as JSON.
        Malformed: too deep, or a key, a text or a number that is not taken.
    """
    _check(facts, "facts", 1)
    if len(msgspec.json.encode(facts)) > LARGEST:
        raise TooLarge(f"The facts are over {LARGEST} bytes.", code="facts_too_large")


def _check(value: object, place: str, depth: int) -> None:
    if isinstance(value, dict | list) and depth > DEEPEST:
        raise _bad(place, f"at most {DEEPEST} levels")
    if isinstance(value, dict):
        for key, member in value.items():
            if not 0 < len(key) <= _LONGEST_KEY or _CONTROLS.search(key):
                raise _bad(place, f"keys of 1 to {_LONGEST_KEY} characters, none of control")
            _check(member, f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, element in enumerate(value):
            _check(element, f"{place}[{number}]", depth + 1)
    else:
        _check_plain(value, place)


def _check_plain(value: object, place: str) -> None:
    if isinstance(value, str) and (len(value) > _LONGEST_TEXT or _CONTROLS.search(value)):
        raise _bad(place, f"at most {_LONGEST_TEXT} characters, none of control")
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _LARGEST_NUMBER):
        raise _bad(place, "a number is a whole one of at most 64 bits")


def _bad(place: str, message: str) -> Malformed:
    return Malformed(
        "The facts are not valid.",
        extra={"errors": [{"path": place[:_LONGEST_PLACE], "message": message}]},
    )


def machine_id(facts: dict[str, Any]) -> str | None:
    """The machine id that a host claims, as its exchange claims it; None where it says none.

    What an exchange would not take is none.
    """
    for name in machine_ids_first(list(facts)):
        with suppress(msgspec.ValidationError):
            claimed: str = msgspec.convert(facts[name], ShortText)
            return claimed
    return None


def kept(facts: dict[str, Any], key: bytes | None) -> dict[str, Any]:
    """The facts as they are stored: no fingerprint of hardware.

    A machine id is its HMAC, or is left out without a key.
    """
    return _members(facts, lambda claimed: _hashed(claimed, key))


def shown(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are answered: nothing of a machine id."""
    return _members(facts, lambda _: None)


def masked_again(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that were stored, by today's rules: earlier ones knew fewer forms of an address.

    A machine id is its HMAC already, and stays.
    """
    return _members(facts, lambda stored: stored)


def changes_masked_again(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Changes that were stored, by today's rules; one of a fingerprint is left out."""
    again = []
    for change in changes:
        names = [name for name in _MEMBERS.split(str(change["path"])) if name]
        if any(map(is_fingerprint, names)):
            continue
        last = names[-1] if names else ""
        values = {
            when: _without_fingerprints(change.get(when), lambda _: None, last)
            for when in ("before", "after")
        }
        again.append({**change, "path": masked(str(change["path"])), **values})
    return again


def _without_fingerprints(value: Any, identify: Identify, member: str = "") -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_without_fingerprints(element, identify, member) for element in value]
    if isinstance(value, dict):
        return _members(value, identify)
    return masked(value, member) if isinstance(value, str) else value


def _members(value: dict[str, Any], identify: Identify) -> dict[str, Any]:
    """Members without fingerprints; `identify` says what stands for a machine id, None nothing."""
    members: dict[str, Any] = {}
    for name, member in value.items():
        if is_fingerprint(name):
            continue
        if not is_machine_id(name):
            members[_free(masked(name), members)] = _without_fingerprints(member, identify, name)
        elif (identity := identify(member)) is not None:
            members[name] = identity
    return members


def _hashed(claimed: object, key: bytes | None) -> str | None:
    if key is None or _is_blank(claimed):
        return None
    return hmac.new(key, msgspec.json.encode(claimed), hashlib.sha256).hexdigest()


def _free(name: str, taken: dict[str, Any]) -> str:
    """The name, or one with a number where two are one without their addresses."""
    tried = (f"{name}#{number}" if number > 1 else name for number in count(1))
    return next(one for one in tried if one not in taken)


def _is_blank(member: object) -> bool:
    return member is None or (isinstance(member, str) and not member.strip())


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """Where two stored documents differ: path, and what stood there before and after.

    Counters that grow all the time are left out. That a machine id is another one is told, and
    not what it is.
    """
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    return [
        {"path": path, "before": _told(path, old), "after": _told(path, new)}
        for path in sorted(old.keys() | new.keys())
        if old.get(path, _NOTHING) != new.get(path, _NOTHING)
    ]


_NOTHING = object()


def _told(path: str, leaves: dict[str, Any]) -> Any:  # noqa: ANN401 - it is JSON
    return None if is_machine_id(path.rpartition(".")[2]) else leaves.get(path)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - it is JSON
    if isinstance(value, dict) and value:
        for key, member in value.items():
            if key not in _VOLATILE:
                yield from _leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        taken: dict[str, Any] = {}
        for number, element in enumerate(value):
            name = _free(_name_of(element, number), taken)
            taken[name] = number
            yield from _leaves(element, f"{path}[{name}]")
    else:
        # A list of plain values is one thing.
        yield path, value


def _name_of(element: object, number: int) -> str:
    names = element if isinstance(element, dict) else {}
    known = (names.get(name) for name in _NAMES)
    return next((name for name in known if isinstance(name, str)), str(number))
