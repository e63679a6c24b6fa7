"""Replacing parts of moto, with a loud failure when moto no longer has them."""

import inspect
from collections.abc import Callable
from typing import Any

# Moto's own objects: their types are not followed, and a patch touches what is private anyway.
MotoObject = Any


class PatchError(RuntimeError):
    """Moto is not what the patch was written for."""


class Patches:
    """Applied replacements, undone in reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def wrap(self, owner: MotoObject, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
        """Replace a method by what ``make`` returns for the original.

        Raises:
            PatchError: The owner has no such callable of its own.
        """
        raw = vars(owner).get(name)
        if raw is None or not (callable(raw) or isinstance(raw, classmethod | staticmethod)):
            raise PatchError(f"{owner.__name__}.{name} is gone; the emulator needs a look at moto")
        original = getattr(owner, name) if isinstance(raw, classmethod) else raw
        if isinstance(raw, staticmethod):
            original = raw.__func__
        replacement = make(original)
        if isinstance(raw, classmethod | staticmethod):
            replacement = type(raw)(replacement)
        setattr(owner, name, replacement)
        self._undo.append(lambda: setattr(owner, name, raw))

    def add(self, owner: MotoObject, name: str, value: MotoObject) -> None:
        """Give a class a method that moto left abstract.

        Raises:
            PatchError: Moto implements it by now.
        """
        if name in vars(owner):
            raise PatchError(f"{owner.__name__}.{name} exists now; the emulator need not add it")
        setattr(owner, name, value)
        self._undo.append(lambda: delattr(owner, name))

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def require_parameters(function: Callable[..., Any], *names: str) -> None:
    """Check that a function still takes the parameters that a patch passes or reads.

    Raises:
        PatchError: It does not.
    """
    missing = set(names) - set(inspect.signature(function).parameters)
    if missing:
        raise PatchError(f"{function.__qualname__} lost its parameters {sorted(missing)}")
