"""Lines to and answers from the person at the terminal."""

import sys
from collections.abc import Callable

Say = Callable[[str], None]
Ask = Callable[[str], str]


def say(line: str) -> None:
    """Print one line at once, also when the output is a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def ask(question: str) -> str:
    """Ask, and return the answer without surrounding space; an empty one at the end of input."""
    try:
        return input(question).strip()
    except EOFError:
        return ""
