"""A wrong command line in one line, in the words of the other errors.

typer describes it in a box and repeats what was typed, which may be a token. Here no argument is
ever repeated.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import typer

# typer names few of the errors that it raises, and which package defines them changed with its
# versions; that a bad parameter is a usage error did not.
USAGE_ERROR: Final[type[Exception]] = typer.BadParameter.__bases__[0]
GIVEN_AWAY: Final = (
    "A token is never given as an argument: other users of this host can read it there. Next: have "
    "it revoked, and give another one with --token-file or --token-stdin."
)
# A whole credential of any family, and what only begins like one.
_CREDENTIAL: Final = re.compile(r"rc[a-z]_[0-9A-Za-z_.-]{60,}")
_LIKE_A_CREDENTIAL: Final = re.compile(r"rc[a-z]_")
_PLAIN_OPTION: Final = re.compile(r"--?[a-z][a-z-]{0,23}")


@dataclass(frozen=True)
class Mistake:
    """What typer found wrong.

    Attributes:
        kind: The name of typer's error.
        text: Its text, which may hold an argument and is never shown.
        asked: The command that was asked for, as far as it was understood.
        option: The option that the error is about, as it was typed.
        similar: Options that come close to it.
        parameter: The option or argument that has no value, or a wrong one.
        bounds: The least and the most that it takes, where it is a number.
        commands: The commands of the group that was asked, where it was one.
    """

    kind: str
    text: str
    asked: str
    option: str
    similar: Sequence[str]
    parameter: str
    bounds: tuple[float, float] | None
    commands: Sequence[str]

    @classmethod
    def of(cls, error: Exception) -> Mistake:
        """Read it out of typer's error."""
        context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
        commands: Mapping[str, object] = getattr(getattr(context, "command", None), "commands", {})
        return cls(
            kind=type(error).__name__,
            text=str(getattr(error, "message", "")),
            asked=str(getattr(context, "command_path", "rollcall-agent")),
            option=str(getattr(error, "option_name", "")),
            similar=list(getattr(error, "possibilities", None) or []),
            parameter=_name(parameter),
            bounds=_bounds(parameter),
            commands=list(commands),
        )

    def line(self, arguments: Sequence[str]) -> str:
        """Say what is wrong, and where to read more.

        Args:
            arguments: What was typed, to be looked at and never to be shown.
        """
        if self.option == "--token" or any(map(_LIKE_A_CREDENTIAL.search, arguments)):
            return GIVEN_AWAY
        say = _LINES.get(self.kind, _other)
        return f"{say(self, arguments)} See {self.asked} --help."


def holds_credential(arguments: Sequence[str]) -> bool:
    """Tell whether a whole credential stands among the arguments."""
    return any(map(_CREDENTIAL.search, arguments))


def _missing(mistake: Mistake, _: Sequence[str]) -> str:
    return f"{mistake.parameter} is missing."


def _bad_value(mistake: Mistake, _: Sequence[str]) -> str:
    if mistake.bounds is not None:
        low, high = mistake.bounds
        return f"{mistake.parameter} takes a number from {low:g} to {high:g}."
    return f"The value of {mistake.parameter} cannot be used."


def _bad_use(mistake: Mistake, _: Sequence[str]) -> str:
    wants = "takes no value" if "does not take" in mistake.text else "needs a value"
    return f"{mistake.option} {wants}."


def _no_option(mistake: Mistake, _: Sequence[str]) -> str:
    is_plain = _PLAIN_OPTION.fullmatch(mistake.option)
    named = f"no option {mistake.option}" if is_plain else "no such option"
    if mistake.commands:
        return f"There is {named} here: options stand behind their command."
    return f"There is {named}.{_guess(mistake.similar[:1])}"


def _other(mistake: Mistake, arguments: Sequence[str]) -> str:
    if mistake.text.startswith("No such command"):
        close = (difflib.get_close_matches(one, mistake.commands, n=1) for one in arguments)
        return f"There is no such command.{_guess(next(filter(None, close), []))}"
    if "unexpected extra argument" in mistake.text:
        return "There is an argument too many."
    return "The command line cannot be understood."


_LINES: Final[Mapping[str, Callable[[Mistake, Sequence[str]], str]]] = {
    "MissingParameter": _missing,
    "BadParameter": _bad_value,
    "BadOptionUsage": _bad_use,
    "NoSuchOption": _no_option,
}


def _guess(known: Sequence[str]) -> str:
    """Ask whether something was meant, in our own spelling."""
    return "".join(f" Did you mean {one}?" for one in known)


def _name(parameter: object) -> str:
    options: Sequence[str] = getattr(parameter, "opts", [])
    long = [one for one in options if one.startswith("--")]
    return long[0] if long else str(getattr(parameter, "name", "a value")).upper()


def _bounds(parameter: object) -> tuple[float, float] | None:
    # On the parameter itself, or on its type: that changed with typer's versions as well.
    for holder in (parameter, getattr(parameter, "type", None)):
        low, high = getattr(holder, "min", None), getattr(holder, "max", None)
        if low is not None and high is not None:
            return float(low), float(high)
    return None
