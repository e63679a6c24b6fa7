"""What is wrong with a command line, in one sentence that repeats nothing of it.

A secret that was typed in the wrong place must not be printed once more: the output of a command is
kept by terminals and CI systems, and copied into questions. The errors of the library that
parses command lines (typer, on click) quote what was typed. These sentences name options and
arguments by the names that the program gave them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

_FAMILIES: Final = {
    "rca_": "a runtime key",
    "rce_": "an enrollment token",
    "rci_": "an invitation",
    "rco_": "an organization key",
    "rcp_": "a personal API token",
    "rcs_": "a session",
    "rcv_": "an approval credential",
}
# At the beginning of a word, so that a `source_type` is none; or glued to an option of one letter.
_CREDENTIAL: Final = re.compile(r"(?:(?<![A-Za-z0-9])|^-[A-Za-z])(rc[aeiopsv]_)[A-Za-z0-9]")
_OPTION: Final = re.compile(r"--?[a-z][a-z-]{0,40}")
_BOUNDS: Final = ("min", "max")
_SHOWN: Final = 3


def credential_family(text: str) -> str | None:
    """The family of the credential that a text holds, as in `an enrollment token`; None if none."""
    found = _CREDENTIAL.search(text)
    return _FAMILIES[found[1]] if found is not None else None


def credential_in(arguments: Iterable[str]) -> str | None:
    """The family of the first credential on a command line; None if there is none."""
    return next(filter(None, map(credential_family, arguments)), None)


def usage_line(error: Exception, arguments: Iterable[str] = ()) -> str:
    """Say what a usage error is about.

    Args:
        error: one of click's, known by the names of its classes: typer carries a click of its own
            in some versions, and this package depends on neither.
        arguments: the command line, only to suggest a command of a similar name.

    Returns:
        One sentence, with `Next:` and the command that explains more.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    context = getattr(error, "ctx", None)
    command = getattr(context, "command", None)
    return f"{_what(error, kinds, command, list(arguments))}{_next(context)}"


def _what(error: Any, kinds: set[str], command: Any, arguments: list[str]) -> str:  # noqa: ANN401
    param = getattr(error, "param", None)
    option = str(getattr(error, "option_name", ""))
    if "NoSuchOption" in kinds:
        return _no_option(option, command)
    if "BadOptionUsage" in kinds:
        return _option_usage(option, arguments)
    if "BadParameter" in kinds:
        missing = "MissingParameter" in kinds
        return f"{_name(param)} {'is missing' if missing else _must_be(param)}."
    if commands := list(getattr(command, "commands", ())):
        return "There is no such command, or none was given." + _similar(arguments, commands)
    if "UsageError" in kinds:
        return "There are more arguments than the command has."
    return "The command cannot be understood."


def _no_option(option: str, command: Any) -> str:  # noqa: ANN401
    if getattr(command, "commands", ()):
        return "There is no such option here: options stand after their command."
    names = [name for one in getattr(command, "params", ()) for name in _names(one)]
    return "There is no such option." + _similar([option], names)


def _option_usage(name: str, arguments: list[str]) -> str:
    """Say whether an option takes a value. Its name is one of the program's, or it had no match."""
    if _OPTION.fullmatch(name) is None:
        return "An option needs a value, or stands alone."
    has_one = any(text.startswith(f"{name}=") for text in arguments)
    return f"{name} {'stands alone, without a value' if has_one else 'needs a value'}."


def _names(param: Any) -> list[str]:  # noqa: ANN401
    if getattr(param, "param_type_name", "") != "option":
        return []
    return [*param.opts, *param.secondary_opts]


def _name(param: Any) -> str:  # noqa: ANN401
    if param is None:
        return "An argument"
    options = _names(param)
    return max(options, key=len) if options else str(param.name).upper()


def _must_be(param: Any) -> str:  # noqa: ANN401
    """What a parameter must be; typer before 0.25 keeps that in the parameter's type."""
    described = getattr(param, "type_descriptor", None) or getattr(param, "type", None)
    choices = getattr(described, "choices", None)
    if choices:
        return "must be one of " + ", ".join(str(getattr(one, "value", one)) for one in choices)
    annotation = getattr(described, "annotation", None)
    name = str(getattr(described, "name", getattr(annotation, "__name__", "")))
    if not name.startswith(("int", "float")):
        return "cannot have this value"
    noun = "must be a whole number" if name.startswith("int") else "must be a number"
    least, most = (getattr(param, bound, getattr(described, bound, None)) for bound in _BOUNDS)
    if least is not None and most is not None:
        return f"{noun} from {least} to {most}"
    if least is not None:
        return f"{noun}, at least {least}"
    return noun if most is None else f"{noun}, at most {most}"


def _similar(given: list[str], known: list[str]) -> str:
    found = {name for word in given for name in get_close_matches(word, known, n=_SHOWN)}
    return f" Did you mean {' or '.join(sorted(found - set(given)))}?" if found - set(given) else ""


def _next(context: Any) -> str:  # noqa: ANN401
    path = getattr(context, "command_path", "")
    return f" Next: {path} --help" if path else ""
