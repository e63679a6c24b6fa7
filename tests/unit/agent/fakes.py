"""Stand-ins for time, chance, the network and the terminal."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call
from rollcall_agent.file_form import FileForm


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start
        self.sleeps: list[float] = []
        # How much further the wall clock is than the one that never jumps.
        self.jumped = 0.0

    def now(self) -> float:
        return self.time + self.jumped

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


class Chance(random.Random):
    """Draws the same place of every range: 0 its start, 1 its end."""

    def __init__(self, place: float = 0.5) -> None:
        super().__init__()
        self.place = place

    def random(self) -> float:
        return self.place


class Lines:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def result(self, line: str) -> None:
        self.results.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)


class ScriptedPlane:
    """Gives the answers that it was told to, and keeps the calls."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.forms: list[tuple[str, FileForm]] = []
        # What happens on the host while a request is on its way.
        self.meanwhile: Callable[[], None] = lambda: None
        self.meanwhile_posting: Callable[[], None] = lambda: None

    def call(self, call: Call) -> Answer:
        self.calls.append(call)
        self.meanwhile()
        return self._next()

    def post_form(self, url: str, form: FileForm) -> Answer:
        self.forms.append((url, form))
        self.meanwhile_posting()
        return self._next()

    def _next(self) -> Answer:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(status: int, body: Mapping[str, object], retry_after: float | None = None) -> Answer:
    """Build a success of the control plane."""
    return Answer(status, body, retry_after=retry_after)


def refused(status: int, code: str, retry_after: float | None = None, **extra: object) -> Answer:
    """Build problem details of the control plane."""
    return Answer(status, {"code": code, **extra}, problem=True, retry_after=retry_after)


def lost(reason: str = "no answer in time") -> NoAnswerError:
    """Build the absence of an answer."""
    return NoAnswerError(reason)
