"""The lines of an env file, as a shell and systemd read them where the two agree.

``[export] NAME = VALUE``, blank lines, and comments that start with ``#`` or ``;``. A value is
made of unquoted text, ``'…'`` and ``"…"`` in any order. Nothing is expanded: ``$`` and backticks
stand for themselves. docs/decisions/0029 says why; tests/vectors/env_file.json has the cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BLANKS: Final = " \t"
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT: Final = re.compile(
    r"[ \t]*(export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)", re.DOTALL
)
# `export NAME`, after an assignment to it: a shell needs it, and it sets nothing.
_EXPORT: Final = re.compile(
    r"[ \t]*export(?:[ \t]+[A-Za-z_][A-Za-z0-9_]*)+[ \t]*(?:[ \t]#.*)?", re.DOTALL
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# What cannot be seen, or looks like a plain blank, quote or equals sign and is another character.
# Letters of every script and typographic dashes are allowed: a path may hold them.
_MARKS: Final = re.compile(
    "[\u0080-\u00a0\u00ab\u00ad\u00bb\u034f\u061c\u1680\u180e\u2000-\u200f\u2018-\u201f\u2028-\u202f"
    "\u2039\u203a\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff\uff02\uff07\uff1d\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_UTF8_MARK: Final = b"\xef\xbb\xbf"


class Fault(StrEnum):
    """Why a line, or a whole text, is refused."""

    UTF16 = "utf16"
    NUL = "nul"
    UTF8 = "utf8"
    CONTROL = "control"
    TYPOGRAPHY = "typography"
    QUOTE = "quote"
    CONTINUED = "continued"
    FORM = "form"
    BLANKS = "blanks"
    SEVERAL = "several"
    EMPTY = "empty"


REASONS: Final = {
    Fault.UTF16: "the file is UTF-16; save it as UTF-8",
    Fault.NUL: "it holds a NUL byte; save the file as UTF-8",
    Fault.UTF8: "its value is not UTF-8",
    Fault.CONTROL: "it holds a control character",
    Fault.TYPOGRAPHY: "it holds an invisible character, a special blank or a typographic quote",
    Fault.QUOTE: "a quote is not closed",
    Fault.CONTINUED: "it ends with a backslash, and a setting does not go on in the next line",
    Fault.FORM: "it is not NAME=VALUE",
}


class LineError(ValueError):
    """A line that cannot be used. Its text is not kept: it may hold a secret.

    Attributes:
        number: of the line, from 1; None where the whole text is meant.
    """

    def __init__(self, fault: Fault, number: int | None = None, reason: str = "") -> None:
        self.fault = fault
        self.number = number
        self.reason = reason or REASONS[fault]
        super().__init__(self.reason)

    def of(self, source: str) -> str:
        """Say in one sentence, without a full stop, what is wrong with the text of a source."""
        place = source if self.number is None else f"{source}, line {self.number}"
        return f"{place}: {self.reason}"


@dataclass(frozen=True)
class Setting:
    """A line that sets a name.

    Attributes:
        exported: whether the line begins with ``export``.
        raw: what stands behind the equals sign.
    """

    name: str
    raw: str
    exported: bool

    def value(self) -> str:
        """Return the value.

        Raises:
            LineError: it cannot be read.
        """
        return read_value(self.raw)


def decode(content: bytes) -> str:
    """Return the text of a file without a byte-order mark. Bytes that are not UTF-8 are kept.

    Raises:
        LineError: it is UTF-16 or UTF-32, or damaged.
    """
    if content.startswith(_UTF16_MARKS):
        raise LineError(Fault.UTF16, 1)
    place = content.find(b"\0")
    if place >= 0:
        number = content.count(b"\n", 0, place) + 1
        # Without a mark UTF-16 shows in the first line already: each plain letter has a NUL byte.
        raise LineError(Fault.UTF16 if number == 1 else Fault.NUL, number)
    return content.removeprefix(_UTF8_MARK).decode("utf-8", "surrogateescape")


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends. A line ends with LF or CRLF, never with CR alone."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def body(line: str) -> str:
    """Return a line without its end."""
    return line.removesuffix("\n").removesuffix("\r")


def is_ignored(text: str) -> bool:
    """Tell whether a line without its end is blank or a comment."""
    start = text.lstrip(BLANKS)
    return not start or start[0] in "#;"


def read_setting(text: str) -> Setting | None:
    """Return what a line without its end sets, or None where it sets nothing."""
    match = _ASSIGNMENT.fullmatch(text)
    if match is None:
        return None
    return Setting(match.group(2), match.group(3), exported=match.group(1) is not None)


def means_something(text: str) -> bool:
    """Tell whether a line without its end is of a kind that an env file has."""
    return is_ignored(text) or bool(_ASSIGNMENT.fullmatch(text) or _EXPORT.fullmatch(text))


def check_line(text: str, is_ours: Callable[[str], bool]) -> None:
    """Refuse a line without its end that is about one of our names and cannot be used.

    Raises:
        LineError: it cannot. Lines about other names are never refused.
    """
    if is_ignored(text):
        return
    setting = read_setting(text)
    if setting is not None:
        if is_ours(setting.name):
            setting.value()
    elif _EXPORT.fullmatch(text) is None and any(map(is_ours, _words(text))):
        _check_letters(text)
        raise LineError(Fault.FORM)


def read_value(raw: str) -> str:
    """Read what stands behind the equals sign, up to a comment.

    Raises:
        LineError: a quote is not closed, the line goes on, or it holds what no value holds.
    """
    try:
        value = "".join(_pieces(raw))
    except LineError:
        # Curly quotes are the better explanation of a straight one that is alone.
        _check_letters(raw)
        raise
    _check_letters(value)
    return value


def _pieces(raw: str) -> Iterator[str]:
    place = len(raw) - len(raw.lstrip(BLANKS))
    blanks, has_begun, last = raw[:place], False, ""
    while place < len(raw):
        letter = raw[place]
        if letter in BLANKS:
            blanks += letter
            place += 1
            continue
        if letter == "#" and blanks:
            break
        if has_begun:
            yield blanks
        blanks, has_begun = "", True
        if letter in "'\"":
            last, piece, place = "", *_quoted(raw, place)
        else:
            last, piece, place = letter, letter, place + 1
        yield piece
    if last == "\\":
        raise LineError(Fault.CONTINUED)


def _quoted(raw: str, start: int) -> tuple[str, int]:
    """Return the text of a quoted piece, and where the text behind it begins."""
    mark, place, text = raw[start], start + 1, list[str]()
    while place < len(raw):
        letter = raw[place]
        if letter == mark:
            return "".join(text), place + 1
        if letter == "\\" and mark == '"':
            if place + 1 == len(raw):
                raise LineError(Fault.CONTINUED)
            place += 1
            letter = raw[place] if raw[place] in '"\\$`' else f"\\{raw[place]}"
        text.append(letter)
        place += 1
    raise LineError(Fault.QUOTE)


def _check_letters(text: str) -> None:
    for wrong, fault in (
        (_CONTROLS, Fault.CONTROL),
        (_NOT_UTF8, Fault.UTF8),
        (_MARKS, Fault.TYPOGRAPHY),
    ):
        if wrong.search(text):
            raise LineError(fault)


def _words(text: str) -> list[str]:
    """Return what could be names in a line, also with an invisible character in or beside one."""
    joined = _CONTROLS.sub("", _MARKS.sub("", text))
    parted = _CONTROLS.sub(" ", _MARKS.sub(" ", text))
    return [*_WORD.findall(joined), *_WORD.findall(parted)]
