"""Handing a secret over: once, to a place that was seen to take it before the secret was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.private_files import FILE_MODE
from rollcall_cli.screen import OutputError, Screen
from rollcall_cli.tables import as_document

# More than any secret is long: a disk that takes this takes the secret.
_RESERVED: Final = b" " * 4095 + b"\n"


@dataclass(frozen=True)
class Undo:
    """What becomes of something whose secret was lost on its way.

    Attributes:
        what: its name in a sentence.
        end: ends it at the control plane; None where nothing can be ended.
        otherwise: what to do where it could not be ended.
    """

    what: str
    end: Callable[[], object] | None
    otherwise: str

    def do(self) -> str:
        """End it, and say what became of it."""
        if self.end is None:
            return self.otherwise
        try:
            self.end()
        except (CliError, KeyboardInterrupt):
            return f"{self.what} could not be revoked, and is active. Next: {self.otherwise}"
        return f"{self.what} is revoked: its secret reached no one."


class Place:
    """Where a secret goes: stdout, or a new file that is reserved.

    Args:
        screen: has stdout.
        path: of the file; None for stdout.
        descriptor: of the reserved file.
    """

    def __init__(self, screen: Screen, path: Path | None, descriptor: int | None) -> None:
        self._screen = screen
        self._descriptor = descriptor
        self.path = path
        self.is_filled = False

    def hand_over(
        self,
        answer: dict[str, Any],
        member: str,
        *,
        undo: Undo,
        as_json: bool = False,
        form: Callable[[object], str] = as_document,
    ) -> None:
        """Give the secret of an answer to the person or script that asked for it.

        On stdout it stands alone; with a file it is in that file alone.

        Args:
            answer: of the control plane; its `member` is the secret.
            member: that member's name.
            undo: ends what the secret belongs to, where it cannot be written after all.
            as_json: print the answer as a document.
            form: of that document.

        Raises:
            CliError: the secret was lost; it says what became of what it belongs to.
        """
        secret = str(answer[member])
        try:
            if self._descriptor is not None:
                self._fill(self._descriptor, secret)
            elif as_json:
                self._screen.result(form(answer))
            else:
                self._screen.result(secret)
        except OutputError as error:
            raise _lost("stdout", error.reason, undo) from error
        except OSError as error:
            raise _lost(str(self.path), error.strerror or "", undo) from error
        if self.path is None:
            return
        rest = {name: value for name, value in answer.items() if name != member}
        if as_json:
            self._screen.result(form(rest))
        else:
            self._screen.note(f"The secret is in {self.path} (mode 0600), and nowhere else.")

    def _fill(self, descriptor: int, secret: str) -> None:
        content = f"{secret}\n".encode()
        os.lseek(descriptor, 0, os.SEEK_SET)
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
        self.is_filled = True


@contextmanager
def place_for_secret(screen: Screen, output: Path | None) -> Iterator[Place]:
    """Find out where a secret goes before it is made, and keep that place until it is there.

    Raises:
        CliError: a secret cannot be written there; nothing was made.
    """
    if output is None:
        try:
            screen.check_output()
        except OutputError as error:
            line = f"{error.line} Nothing was made."
            raise CliError(line, ExitCode.LOCAL_FAILURE) from error
        yield Place(screen, None, None)
        return
    if str(output) == "-":
        raise usage("--output names a file; without it the secret goes to stdout.")
    descriptor = _reserve(output)
    place = Place(screen, output, descriptor)
    try:
        yield place
    finally:
        os.close(descriptor)
        if not place.is_filled:
            # The same command can be given again; and a part of a secret is no secret.
            with suppress(OSError):
                output.unlink()


def _reserve(output: Path) -> int:
    """Create the file, for the owner only, with as much space as a secret takes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(output, flags, FILE_MODE)
    except FileExistsError as error:
        raise usage(
            "--output must be a new file: a secret is not written over something else."
        ) from error
    except OSError as error:
        raise _unwritable(error) from error
    try:
        os.fchmod(descriptor, FILE_MODE)
        os.write(descriptor, _RESERVED)
        os.fsync(descriptor)
    except OSError as error:
        os.close(descriptor)
        with suppress(OSError):
            output.unlink()
        raise _unwritable(error) from error
    return descriptor


def _unwritable(error: OSError) -> CliError:
    return usage(f"The file of --output cannot be written: {error.strerror}. Nothing was made.")


def _lost(where: str, reason: str, undo: Undo) -> CliError:
    return CliError(f"{where} cannot be written ({reason}). {undo.do()}", ExitCode.LOCAL_FAILURE)
