"""The heartbeat as a state machine: what to send next, when, and when to stop. No input/output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer
from rollcall_agent.backoff import Backoff
from rollcall_agent.exits import ExitCode

DEFAULT_INTERVAL: Final = 60.0
LONGEST_INTERVAL: Final = 86400.0
SPREAD: Final = 0.1
LARGEST_SEQUENCE: Final = 2**53


class State(StrEnum):
    """What the agent knows of its standing with the control plane."""

    STARTING = "starting"
    ONLINE = "online"
    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    ENDED = "ended"


@dataclass(frozen=True)
class Beat:
    """What makes one heartbeat distinct; a repetition of it carries the same pair."""

    sequence: int
    nonce: str


@dataclass(frozen=True)
class Step:
    """What to do after a beat.

    Attributes:
        delay: Seconds until the next beat, counted from the answer; None means stop.
        detail: What happened, for whoever wants to see each beat.
        changed: Whether this is news that deserves a line of its own.
        exit_code: With which code a single beat, or a stopped agent, ends.
    """

    delay: float | None
    detail: str
    changed: bool
    exit_code: ExitCode = ExitCode.OK


class Heartbeat:
    """Decides, from each answer, on the next beat."""

    def __init__(
        self, *, rng: Random, mint_nonce: Callable[[], str], backoff: Backoff | None = None
    ) -> None:
        self._rng = rng
        self._mint_nonce = mint_nonce
        self._backoff = backoff or Backoff(base=1.0, cap=300.0)
        self._interval = DEFAULT_INTERVAL
        self._minimum = 0.0
        self._failures = 0
        self._reported = (State.STARTING, "")
        self.state = State.STARTING
        self.beat = Beat(1, mint_nonce())

    def answered(self, answer: Answer) -> Step:
        """Take an answer of any kind."""
        if answer.succeeded and answer.text("status"):
            return self._accepted(answer)
        if answer.succeeded:
            # A captive portal says 200 to everything; the beat did not arrive.
            return self.unanswered("what answered is not the control plane's application")
        if answer.ends_identity:
            self.state = State.ENDED
            return Step(None, explain(answer), self._is_news(answer.code), ExitCode.IDENTITY_ENDED)
        if answer.is_transient:
            return self._put_off(answer)
        if answer.code == "sequence_stale":
            return self._overtaken(answer)
        return self._refused(answer)

    def unanswered(self, reason: str) -> Step:
        """Take the absence of an answer: the same beat goes out again."""
        was_online = self.state is State.ONLINE
        delay = self._next_delay(None)
        detail = f"The control plane cannot be reached: {reason}. Next: check the network."
        if was_online and self._failures == 1:
            # A server closes an idle connection now and then; one quick retry is no news.
            return Step(delay, detail, changed=False, exit_code=ExitCode.UNREACHABLE)
        self.state = State.UNREACHABLE
        return Step(delay, detail, self._is_news(None), ExitCode.UNREACHABLE)

    def _accepted(self, answer: Answer) -> Step:
        """The beat arrived: adopt the interval that the control plane asks for."""
        self._interval = (
            answer.number("heartbeat_interval_seconds", 1, LONGEST_INTERVAL) or self._interval
        )
        self._minimum = answer.number("minimum_interval_seconds", 0, LONGEST_INTERVAL) or 0.0
        self._failures = 0
        self.state = State.ONLINE
        self._advance(self.beat.sequence)
        spread = self._rng.uniform(1 - SPREAD, 1 + SPREAD)
        delay = max(self._interval * spread, self._minimum)
        detail = f"Online, beating every {self._interval:g} s."
        return Step(delay, detail, self._is_news(None))

    def _put_off(self, answer: Answer) -> Step:
        """The control plane is busy or unwell: the same beat goes out again, later."""
        is_throttled = answer.status == 429  # noqa: PLR2004
        self.state = State.THROTTLED if is_throttled else State.UNREACHABLE
        delay = self._next_delay(answer.retry_after)
        return Step(delay, explain(answer), self._is_news(answer.code), ExitCode.UNREACHABLE)

    def _overtaken(self, answer: Answer) -> Step:
        """A higher sequence was seen: go on above it."""
        last = answer.number("last_sequence", 0, LARGEST_SEQUENCE)
        self._advance(max(self.beat.sequence, int(last or 0)))
        self.state = State.UNREACHABLE if self._failures else self.state
        delay = self._next_delay(answer.retry_after)
        news = self._failures > 1 and self._is_news(answer.code)
        return Step(delay, explain(answer), news, ExitCode.REFUSED)

    def _refused(self, answer: Answer) -> Step:
        """Refused for now. The key is kept, because only its holder can ever come back."""
        is_quarantine = answer.code == "agent_quarantined"
        self.state = State.QUARANTINED if is_quarantine else State.REFUSED
        self._advance(self.beat.sequence)
        # Never faster than a healthy agent: whoever refuses must not be asked more often.
        delay = max(self._interval, self._next_delay(answer.retry_after))
        exit_code = ExitCode.REFUSED if answer.code else ExitCode.UNREACHABLE
        return Step(delay, explain(answer), self._is_news(answer.code), exit_code)

    def _advance(self, sequence: int) -> None:
        self.beat = Beat(sequence + 1, self._mint_nonce())

    def _next_delay(self, retry_after: float | None) -> float:
        delay = self._backoff.delay(self._failures, self._rng, retry_after)
        self._failures += 1
        return delay

    def _is_news(self, code: str | None) -> bool:
        standing = (self.state, code or "")
        changed = standing != self._reported
        self._reported = standing
        return changed
