"""A hostname that the control plane takes, out of whatever a host is called.

The control plane takes letters, digits, dots, dashes and underscores of ASCII, up to 253 of them. A
name that is otherwise becomes one by which people still know the host, the same in each run, and
another one for another name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

LONGEST: Final = 253
_LONGEST_LABEL: Final = 63
# With the digest it is within what a control plane keeps of a hostname for the agent's name.
_LONGEST_STEM: Final = 40
_DIGEST: Final = 8
_TAKEN: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_NOT_TAKEN: Final = re.compile(r"[^A-Za-z0-9._-]+")
# What systems are called that were given no name: a fleet of them has one name.
_NAMES_OF_NONE: Final = frozenset({"localhost", "localhost4", "localhost6", "unknown", "amnesiac"})
# Linux's own word for a host without a name.
_NOTHING: Final = frozenset({"", "(none)"})


def hostname_of(text: str) -> str:
    """Return a text as a hostname; empty where it holds no name.

    Dots at the end are no part of a name. A name of letters that are not ASCII becomes what DNS has
    for it (`xn--…`). Of any other text what can stay stays, with a digest of the text.
    """
    name = unicodedata.normalize("NFC", text).strip().strip(".")
    if name in _NOTHING:
        return ""
    for candidate in (name, ".".join(map(_as_dns_has_it, name.split(".")))):
        if len(candidate) <= LONGEST and _TAKEN.fullmatch(candidate):
            return candidate
    return _what_can_stay(name)


def names_no_host(hostname: str) -> bool:
    """Tell whether a hostname is what systems are called that were given none."""
    return hostname.partition(".")[0].lower() in _NAMES_OF_NONE


def told_apart(stem: str, by: str) -> str:
    """Return a name that another host of the same stem has not.

    Args:
        stem: what people are to read.
        by: what tells the hosts apart; only a digest of it is shown.
    """
    digest = hashlib.sha256(b"hostname\n" + by.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{stem[:_LONGEST_STEM].strip('._-') or 'host'}-{digest[:_DIGEST]}"


def _as_dns_has_it(label: str) -> str:
    """Return a label's ASCII form (RFC 5890); unchanged where it has none."""
    letters = label.lower()
    if letters.isascii() or not all(letter in "-_" or _is_of_words(letter) for letter in letters):
        return label
    ascii_form = "xn--" + letters.encode("punycode").decode("ascii")
    return ascii_form if len(ascii_form) <= _LONGEST_LABEL else label


def _is_of_words(letter: str) -> bool:
    # Letters, digits and marks; no sign, blank or control character, and no half of a surrogate.
    return unicodedata.category(letter)[0] in "LNM"


def _what_can_stay(name: str) -> str:
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if unicodedata.category(letter) != "Mn"
    )
    first, _, rest = _NOT_TAKEN.sub("-", plain).strip("._-").partition(".")
    named = told_apart(first, by=name)
    whole = f"{named}.{rest}"
    return whole if rest and len(whole) <= LONGEST else named
