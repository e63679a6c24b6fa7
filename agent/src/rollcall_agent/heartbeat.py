"""The heartbeat as a state machine: what to send next, when, and when to stop. No input/output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer
from rollcall_agent.exits import ExitCode
from rollcall_agent.schedule import CLOSEST, LONGEST_BACKOFF, Schedule, slots_skipped

DEFAULT_INTERVAL: Final = 60.0
LONGEST_INTERVAL: Final = 86400.0
QUARANTINED_BACKOFF: Final = 60.0
LARGEST_SEQUENCE: Final = 2**53
# One answer that got lost is asked for again within this time, before anybody calls it a failure.
QUICK_RETRY: Final = 2.0
# Within this part of the interval a beat that was put off counts as on time.
ON_TIME: Final = 0.25
# A refused beat is no reason to be back before a healthy agent would be.
HALF: Final = 0.5


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


def is_accepted(answer: Answer) -> bool:
    """Tell whether the control plane's application took the beat."""
    interval = answer.number("heartbeat_interval_seconds", -math.inf, math.inf)
    return answer.succeeded and answer.text("status") == State.ONLINE and interval is not None


class Heartbeat:
    """Decides, from each answer, on the next beat.

    Args:
        schedule: When this agent's slots are.
        rng: For what must not happen at the same time on many hosts.
        mint_nonce: Draws what makes a beat distinct.
        interval: How often to beat until an answer says otherwise.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        rng: Random,
        mint_nonce: Callable[[], str],
        interval: float | None = None,
    ) -> None:
        self._schedule = schedule
        self._rng = rng
        self._mint_nonce = mint_nonce
        self._minimum = 0.0
        self._failures = 0
        self._reported = (State.STARTING, "")
        self.interval = interval or DEFAULT_INTERVAL
        self.state = State.STARTING
        self.beat = Beat(1, mint_nonce())

    def first_wait(self, now: float) -> float:
        """Return how long a process that starts waits for this agent's slot."""
        return self._schedule.wait(now, self.interval)

    def answered(self, answer: Answer, now: float, *, is_last_key: bool = True) -> Step:
        """Take an answer of any kind.

        Args:
            answer: What came.
            now: The wall clock.
            is_last_key: Whether no other key is left to be tried, where this one is refused.
        """
        if is_accepted(answer):
            return self._accepted(answer, now)
        if answer.succeeded:
            # A captive portal says 200 to everything, and many a page has a status.
            return self.unanswered("what answered is not the control plane's application", now)
        if answer.ends_identity and is_last_key:
            self.state = State.ENDED
            return Step(None, explain(answer), self._is_news(answer.code), ExitCode.IDENTITY_ENDED)
        if answer.is_transient:
            return self._put_off(answer, now)
        if answer.code == "sequence_stale":
            return self._overtaken(answer, now)
        return self._refused(answer, now)

    def unanswered(self, reason: str, now: float, *, arrived: bool = True) -> Step:
        """Take the absence of an answer: the same beat goes out again.

        Args:
            reason: What happened.
            now: The wall clock.
            arrived: Whether the control plane may have had the request. What never left the host
                costs nobody anything, so it is tried at each slot: when the network comes back,
                the whole fleet is back within one interval.
        """
        was_online = self.state is State.ONLINE
        detail = f"The control plane cannot be reached: {reason}. Next: check the network."
        if self._failures == 0:
            # A server closes an idle connection now and then; one quick retry is no news.
            delay = self._rng.uniform(0.0, QUICK_RETRY)
        else:
            skip = slots_skipped(self._failures - 1, self.interval) if arrived else 0
            delay = self._at_slot(now, skip=skip)
        self._failures += 1
        if was_online and self._failures == 1:
            return Step(delay, detail, changed=False, exit_code=ExitCode.UNREACHABLE)
        self.state = State.UNREACHABLE
        return Step(delay, detail, self._is_news(None), ExitCode.UNREACHABLE)

    def _accepted(self, answer: Answer, now: float) -> Step:
        """The beat arrived: adopt the interval that the control plane asks for."""
        asked = answer.number("heartbeat_interval_seconds", 1, LONGEST_INTERVAL)
        # While an environment is slowed down both say the same; the slower one rules.
        self.interval = max(asked or self.interval, answer.retry_after or 0.0)
        self._minimum = answer.number("minimum_interval_seconds", 0, LONGEST_INTERVAL) or 0.0
        self._failures = 0
        self.state = State.ONLINE
        self._advance(self.beat.sequence)
        detail = f"Online, beating every {self.interval:g} s."
        return Step(self._at_slot(now), detail, self._is_news(f"{self.interval:g}"))

    def _put_off(self, answer: Answer, now: float) -> Step:
        """The control plane is busy or unwell: the same beat goes out again, later."""
        is_throttled = answer.status == 429  # noqa: PLR2004
        self.state = State.THROTTLED if is_throttled else State.UNREACHABLE
        delay = self._put_off_for(answer.retry_after, answer.code, now)
        self._failures += 1
        return Step(delay, explain(answer), self._is_news(answer.code), ExitCode.UNREACHABLE)

    def _put_off_for(self, asked: float | None, code: str | None, now: float) -> float:
        """Wait for what was asked for, and then not at the instant at which others return too.

        Too soon is about this agent alone: another copy of it has the same slot, and was faster.
        Back at the slot it would be so each time, and nobody would ever notice the two of them.
        """
        if asked is None:
            return self._at_slot(now, skip=slots_skipped(self._failures, self.interval))
        grace = self.interval * ON_TIME
        if code == "heartbeat_too_soon" or (self._failures == 0 and asked <= grace):
            return asked + self._rng.uniform(0.0, grace)
        return self._at_slot(now, floor=asked)

    def _overtaken(self, answer: Answer, now: float) -> Step:
        """A higher sequence was seen: go on above it."""
        last = answer.number("last_sequence", 0, LARGEST_SEQUENCE)
        self._advance(max(self.beat.sequence, int(last or 0)))
        self.state = State.UNREACHABLE if self._failures else self.state
        if self._failures == 0:
            delay = self._rng.uniform(0.0, QUICK_RETRY)
        else:
            delay = self._at_slot(now, skip=slots_skipped(self._failures, self.interval))
        self._failures += 1
        news = self._failures > 1 and self._is_news(answer.code)
        return Step(delay, explain(answer), news, ExitCode.REFUSED)

    def _refused(self, answer: Answer, now: float) -> Step:
        """Refused for now. The key is kept, because only its holder can ever come back."""
        is_quarantine = answer.code == "agent_quarantined"
        self.state = State.QUARANTINED if is_quarantine else State.REFUSED
        self._advance(self.beat.sequence)
        floor = max(self.interval * HALF, answer.retry_after or 0.0)
        # Whoever is quarantined waits for a person, who will want to see what came of the decision.
        seldom = max(QUARANTINED_BACKOFF, 2 * self.interval)
        longest = seldom if is_quarantine else LONGEST_BACKOFF
        skip = slots_skipped(self._failures, self.interval, longest)
        delay = self._at_slot(now, floor=floor, skip=skip)
        self._failures += 1
        exit_code = ExitCode.REFUSED if answer.code else ExitCode.UNREACHABLE
        return Step(delay, explain(answer), self._is_news(answer.code), exit_code)

    def _at_slot(self, now: float, *, floor: float = 0.0, skip: int = 0) -> float:
        closest = max(floor, self._minimum, self.interval * CLOSEST)
        return self._schedule.wait(now, self.interval, floor=closest, skip=skip)

    def _advance(self, sequence: int) -> None:
        self.beat = Beat(sequence + 1, self._mint_nonce())

    def _is_news(self, code: str | None) -> bool:
        standing = (self.state, code or "")
        changed = standing != self._reported
        self._reported = standing
        return changed
