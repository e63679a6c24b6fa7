"""Trying again, for as long as the user gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.backoff import Backoff
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.say import Say

T = TypeVar("T")

DEFAULT_BACKOFF: Final = Backoff(base=0.5, cap=20.0)


class TransientError(Exception):
    """This attempt failed in a way that the next one may not."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retry:
    """Repeats a step with backoff and full jitter until it succeeds or the time is over."""

    clock: Clock
    rng: Random
    say: Say
    timeout: float
    backoff: Backoff = DEFAULT_BACKOFF

    def run(self, step: Callable[[float], T], *, gave_up: str) -> T:
        """Run ``step`` until it returns.

        Args:
            step: Is given the seconds that are left, and raises TransientError to be tried again.
            gave_up: What to tell the user when the time is over.
        """
        deadline = self.clock.monotonic() + self.timeout
        attempt = 0
        while True:
            left = deadline - self.clock.monotonic()
            try:
                return step(max(left, 1.0))
            except TransientError as failure:
                self._wait(failure, attempt, deadline, gave_up)
            attempt += 1

    def _wait(self, failure: TransientError, attempt: int, deadline: float, gave_up: str) -> None:
        left = max(deadline - self.clock.monotonic(), 0.0)
        asked = failure.retry_after or 0.0
        if left == 0 or asked > left:
            waits = f" It asks to wait {asked:.0f} s." if asked > left else ""
            raise AgentError(f"{failure.reason}{waits} {gave_up}", ExitCode.UNREACHABLE)
        delay = min(self.backoff.delay(attempt, self.rng, failure.retry_after), left)
        self.say.note(f"{failure.reason} Trying again in {delay:.1f} s.")
        self.clock.sleep(delay)


def settled(ask: Callable[[], Answer]) -> Answer:
    """Return a usable answer.

    Raises:
        TransientError: The failure may pass.
        AgentError: It is a refusal that will last.
    """
    try:
        answer = ask()
    except NoAnswerError as failure:
        raise TransientError(f"No answer from the control plane: {failure.reason}.") from failure
    if answer.is_transient:
        raise TransientError(explain(answer), answer.retry_after)
    if answer.succeeded and answer.body is not None:
        return answer
    raise refusal(answer)


def refusal(answer: Answer) -> AgentError:
    """Turn a definite refusal into the error that ends the command."""
    if answer.ends_identity:
        return AgentError(explain(answer), ExitCode.IDENTITY_ENDED)
    code = ExitCode.UNREACHABLE if answer.code is None else ExitCode.REFUSED
    return AgentError(explain(answer), code)
