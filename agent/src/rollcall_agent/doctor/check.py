"""One line of the doctor: what was looked at, how it stands, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.say import clean


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        what: What was found, or what is wrong.
        next: What to do; empty where there is nothing to do.
    """

    name: str
    outcome: Outcome
    what: str
    next: str = ""

    def line(self) -> str:
        """Describe it for a person."""
        todo = f" Next: {_sentence(self.next)}" if self.next else ""
        return f"{self.outcome:<8} {self.name:<13} {_sentence(self.what)}{todo}"


def _sentence(text: str) -> str:
    """End a text with one full stop, whether it has one already or not."""
    cleaned = clean(text)
    return cleaned if cleaned.endswith(".") else f"{cleaned}."


@dataclass(frozen=True)
class Report:
    """All checks, in the order in which they were made."""

    checks: Sequence[Check]

    @property
    def exit_code(self) -> ExitCode:
        """Return the code for scripts: warnings are no failure."""
        failed = any(check.outcome is Outcome.FAILED for check in self.checks)
        return ExitCode.DOCTOR if failed else ExitCode.OK

    def document(self) -> dict[str, object]:
        """Return the report for a program."""
        return {
            "ok": self.exit_code is ExitCode.OK,
            "checks": [
                {name: clean(str(value)) for name, value in asdict(check).items()}
                for check in self.checks
            ],
        }

    def of(self, name: str) -> Check | None:
        """Return the check of a name, or None where it was not made yet."""
        return next((check for check in self.checks if check.name == name), None)


def ok(name: str, what: str) -> Check:
    """Build a check that found nothing wrong."""
    return Check(name, Outcome.OK, what)


def warning(name: str, what: str, todo: str) -> Check:
    """Build a check that found what somebody should look at."""
    return Check(name, Outcome.WARNING, what, todo)


def failed(name: str, what: str, todo: str) -> Check:
    """Build a check that found what keeps the agent from working."""
    return Check(name, Outcome.FAILED, what, todo)


def skipped(name: str, why: str) -> Check:
    """Build a check that was not made."""
    return Check(name, Outcome.SKIPPED, why)


def of_error(name: str, error: AgentError) -> Check:
    """Build a failed check out of the line that a command would end with."""
    what, _, todo = error.line.partition(" Next: ")
    return failed(name, what.rstrip("."), todo.rstrip("."))
