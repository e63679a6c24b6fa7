"""The one form of names: how they are kept, what they may not hold, and when two are the same.

A name is kept in NFC (Unicode Standard Annex 15), with plain spaces and none at its ends.
Characters that show nothing are refused. Names are compared by `folded`: without regard to case
and spelling (Unicode Standard, section 3.13, canonical caseless matching). Letters that only look
alike stay different ones.
"""

import unicodedata

# Other characters that show nothing: Unicode's Default_Ignorable_Code_Point beyond the categories
# below, the blank of Braille, and code points that are no characters.
_BLANK = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065),
    (0x2800, 0x2800), (0x3164, 0x3164), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
# Controls, formats (zero width, direction of writing), surrogates, separators of lines.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NO_CHARACTER = 0xFFFE


def normal(text: str) -> str:
    """A name as it is kept: NFC, every blank a plain space, none at the ends."""
    composed = unicodedata.normalize("NFC", text)
    if not composed.isascii():
        composed = "".join(" " if unicodedata.category(c) == "Zs" else c for c in composed)
    return composed.strip(" ")


def folded(text: str) -> str:
    """What names are compared by: equal where they differ by case or spelling only."""
    name = normal(text)
    if name.isascii():
        return name.lower()
    # Decomposed first: a few folds depend on it.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def unseen(text: str) -> str | None:
    """The code point of the first character that shows nothing, as in U+200B; None without one."""
    for character in text:
        if (character < " " or character > "~") and _is_unseen(character):
            return f"U+{ord(character):04X}"
    return None


def _is_unseen(character: str) -> bool:
    point = ord(character)
    return (
        unicodedata.category(character) in _UNSEEN
        or point & _NO_CHARACTER == _NO_CHARACTER
        or any(first <= point <= last for first, last in _BLANK)
    )


def same_host(text: str) -> str:
    """What hostnames are compared by: no case, and no dot at the end.

    That dot stands for the root of all names (RFC 1034, section 3.1).
    """
    return text.strip(" ").removesuffix(".").lower()
