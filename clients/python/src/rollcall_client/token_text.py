"""What a file with a token, or stdin, may hold: the token alone, or a line that sets it.

A person writes such a file with an editor, and some editors and people add a byte-order mark, a
comment, quotes or a blank line. tests/vectors/token_file.json has the cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rollcall_client.setting_lines import (
    BLANKS,
    REASONS,
    Fault,
    LineError,
    Setting,
    body,
    decode,
    is_ignored,
    read_setting,
    read_value,
    split_lines,
)

_REASONS: Final = REASONS | {
    Fault.UTF8: "the token is not UTF-8",
    Fault.BLANKS: "there are blanks in the token",
    Fault.SEVERAL: "there is more than one token",
    Fault.EMPTY: "there is no token",
}
# `rce_…==` is a token that ends with equals signs, and sets no name.
_TOKEN_START: Final = re.compile(r"rc[a-z]_")


def read_token_text(content: bytes, names: Sequence[str]) -> str:
    """Return the only token of a text.

    Args:
        content: of the file, as it is.
        names: of the settings that hold a token, the first one first: a line ``NAME=token`` of an
            env file counts as well. Lines that set other names do not count.

    Raises:
        LineError: there is no token, more than one, or one that cannot be used.
    """
    bare: tuple[int, str] | None = None
    named: dict[str, tuple[int, str]] = {}
    for number, text, setting in _lines(content):
        if setting is not None and setting.name not in names:
            continue
        try:
            value = read_value(text if setting is None else setting.raw)
        except LineError as error:
            raise LineError(error.fault, number, _REASONS[error.fault]) from None
        if any(blank in value for blank in BLANKS):
            raise _fault(Fault.BLANKS, number)
        if setting is not None:
            named[setting.name] = (number, value)
        elif bare is not None:
            raise _fault(Fault.SEVERAL, number)
        else:
            bare = (number, value)
    return _only(bare, [named[name] for name in names if name in named])


def _lines(content: bytes) -> Iterator[tuple[int, str, Setting | None]]:
    for number, line in enumerate(split_lines(decode(content)), start=1):
        text = body(line)
        if not is_ignored(text):
            setting = None if _TOKEN_START.match(text.lstrip(BLANKS)) else read_setting(text)
            yield number, text, setting


def _only(bare: tuple[int, str] | None, named: Sequence[tuple[int, str]]) -> str:
    found = [one for one in named if one[1]]
    if bare is not None and bare[1]:
        if found:
            raise _fault(Fault.SEVERAL, max(bare[0], found[0][0]))
        return bare[1]
    if not found:
        raise _fault(Fault.EMPTY, None)
    return found[0][1]


def _fault(fault: Fault, number: int | None) -> LineError:
    return LineError(fault, number, _REASONS[fault])
