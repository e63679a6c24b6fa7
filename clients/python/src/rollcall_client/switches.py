"""Switches: settings that are on or off."""

from __future__ import annotations

from typing import Final

ON: Final = frozenset({"1", "true", "yes", "on"})
OFF: Final = frozenset({"0", "false", "no", "off"})
# Those of ASCII, as for the installer: a no-break space is another character.
_BLANKS: Final = " \t\r\n\f\v"


class NoSwitchError(ValueError):
    """A setting that is neither on nor off.

    Attributes:
        line: what is wrong, in one sentence. The value is not repeated: it may be a secret that was
            put in the wrong place.
    """

    def __init__(self, name: str) -> None:
        self.line = f"{name} must be 1, true, yes or on, or 0, false, no or off."
        super().__init__(self.line)


def read_switch(name: str, value: str | None, *, default: bool) -> bool:
    """Tell whether a switch is on. Upper and lower case and surrounding blanks do not matter.

    Args:
        name: of the setting, for the error.
        value: as written; None and an empty text mean that it is not set.
        default: what holds where it is not set.

    Raises:
        NoSwitchError: the value means neither.
    """
    written = (value or "").strip(_BLANKS).lower()
    if not written:
        return default
    if written in ON:
        return True
    if written in OFF:
        return False
    raise NoSwitchError(name)
