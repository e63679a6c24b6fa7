"""The states of a Windows service, as a state machine without Windows.

The numbers are those of winsvc.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from rollcall_agent.service.endings import is_final

NO_ERROR: Final = 0
CALL_NOT_IMPLEMENTED: Final = 120
SERVICE_SPECIFIC_ERROR: Final = 1066
# A stop lets go of a request under way within half a second; this is what Windows waits at most.
STOP_HINT: Final = 10_000
START_HINT: Final = 10_000


class State(IntEnum):
    """What a service says of itself."""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4


class Control(IntEnum):
    """What a service is told."""

    STOP = 1
    INTERROGATE = 4
    SHUTDOWN = 5


# SERVICE_ACCEPT_STOP and SERVICE_ACCEPT_SHUTDOWN
ACCEPTED: Final = 1 | 4


@dataclass(frozen=True)
class Report:
    """What goes to SetServiceStatus."""

    state: State
    accepted: int = 0
    error: int = NO_ERROR
    specific: int = 0
    checkpoint: int = 0
    hint: int = 0


@dataclass(frozen=True)
class Reaction:
    """What to do about a control.

    Attributes:
        answer: What the handler returns to Windows.
        report: What to report, if anything changed or Windows asks.
        stop: Whether the agent is to stop.
    """

    answer: int
    report: Report | None = None
    stop: bool = False


class ServiceStates:
    """One life of the service: it is started once, and stopped once."""

    def __init__(self) -> None:
        self._report = Report(State.START_PENDING, checkpoint=1, hint=START_HINT)

    @property
    def report(self) -> Report:
        """What holds now."""
        return self._report

    def started(self) -> Report:
        """The agent works."""
        self._report = Report(State.RUNNING, accepted=ACCEPTED)
        return self._report

    def told(self, control: int) -> Reaction:
        """Take a control."""
        if control == Control.INTERROGATE:
            return Reaction(NO_ERROR, self._report)
        if control not in {Control.STOP, Control.SHUTDOWN}:
            return Reaction(CALL_NOT_IMPLEMENTED)
        if self._report.state is State.STOPPED:
            return Reaction(NO_ERROR)
        if self._report.state is not State.STOP_PENDING:
            self._report = Report(State.STOP_PENDING, checkpoint=1, hint=STOP_HINT)
        return Reaction(NO_ERROR, self._report, stop=True)

    def ended(self, code: int) -> Report:
        """The agent ended. An error is what makes Windows start the service again."""
        if is_final(code):
            self._report = Report(State.STOPPED)
        else:
            self._report = Report(State.STOPPED, error=SERVICE_SPECIFIC_ERROR, specific=code)
        return self._report
