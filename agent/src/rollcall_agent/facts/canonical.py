"""The form of a document of facts: what is hashed of it, and how large it may become."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from rollcall_agent.facts.interface_names import is_passing
from rollcall_agent.facts.interfaces import BYTES_RECEIVED, BYTES_SENT

LARGEST_DOCUMENT: Final = 24 * 1024
# The counters grow while the document is on its way; it must not grow out of its bound with them.
_WIDEST_COUNTER: Final = 2**64
_COUNTERS: Final = (BYTES_SENT, BYTES_RECEIVED)
_LISTS: Final = ("interfaces", "disks")
OMITTED: Final = "omitted"


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the one way to write a document: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    # A lone half of a surrogate pair, out of a broken file name, has no form in UTF-8.
    return text.encode("utf-8", "replace")


def digest(document: Mapping[str, object]) -> str:
    """Return the SHA-256 of what lasts of a document."""
    return hashlib.sha256(canonical(lasting(document))).hexdigest()


def lasting(document: Mapping[str, object]) -> dict[str, object]:
    """Return a document without its volatile members.

    Those are the byte counters, and the interfaces that live as long as a container: with them a
    busy container host would tell its facts anew at each beat.
    """
    kept = {name: value for name, value in document.items() if name != OMITTED}
    kept["interfaces"] = [
        {name: value for name, value in one.items() if name not in _COUNTERS}
        for one in _maps(document, "interfaces")
        if not is_passing(str(one.get("name", "")))
    ]
    return kept


def bounded(document: Mapping[str, object]) -> dict[str, object]:
    """Return a document that is small enough; what matters least is left out, and counted."""
    kept = dict(document)
    omitted = 0
    while _size(kept) > LARGEST_DOCUMENT:
        longest = max(_LISTS, key=lambda name: len(_maps(kept, name)))
        rest = _maps(kept, longest)[:-1]
        omitted += 1
        kept = {**kept, longest: rest, OMITTED: omitted}
    return kept


def _size(document: Mapping[str, object]) -> int:
    widest = [
        {name: _WIDEST_COUNTER if name in _COUNTERS else value for name, value in one.items()}
        for one in _maps(document, "interfaces")
    ]
    return len(canonical({**document, "interfaces": widest}))


def _maps(document: Mapping[str, object], name: str) -> list[dict[str, object]]:
    found = document.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
