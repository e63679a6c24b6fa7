"""What 10,000 agents ask of the control plane when all of them come back at the same instant.

    python -m bench.herd            simulate, print the figures, and draw docs/herd.svg

The agents' own state machine decides when each of them beats; only time and the control plane are
simulated. "Before" is the schedule that agents had when each counted its interval from its last
answer and backed off with full jitter.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from rollcall_agent.answers import Answer
from rollcall_agent.backoff import Backoff
from rollcall_agent.heartbeat import Heartbeat
from rollcall_agent.schedule import Schedule

from bench.herd_plot import draw

AGENTS: Final = 10_000
INTERVAL: Final = 60
# Not a round number: nothing here may depend on where in a minute it begins.
START: Final = 1_800_000_017.25
SHOWN: Final = 3 * INTERVAL
DRAWING: Final = Path(__file__).resolve().parent.parent / "docs" / "herd.svg"

ONLINE: Final = Answer(
    200, {"status": "online", "heartbeat_interval_seconds": INTERVAL, "minimum_interval_seconds": 5}
)


class Host(Protocol):
    """One agent, as far as its requests are concerned."""

    def first(self, now: float) -> float:
        """Return the wait before the first request of a process."""

    def next(self, answer: Answer | None, now: float) -> float:
        """Return the wait after an answer, or after none came."""


class Slotted:
    """An agent as it is."""

    def __init__(self, number: int, rng: random.Random) -> None:
        nonces = count()
        self._heartbeat = Heartbeat(
            schedule=Schedule.of(f"agt_{number:05}"),
            rng=rng,
            mint_nonce=lambda: str(next(nonces)),
            interval=INTERVAL,
        )

    def first(self, now: float) -> float:
        """Wait for this agent's slot."""
        return self._heartbeat.first_wait(now)

    def next(self, answer: Answer | None, now: float) -> float:
        """Ask the agent's own state machine."""
        if answer is None:
            step = self._heartbeat.unanswered("no connection", now, arrived=False)
        else:
            step = self._heartbeat.answered(answer, now)
        return step.delay or 0.0


class Counting:
    """An agent as it was: the interval from the last answer, a tenth of it as jitter."""

    def __init__(self, _number: int, rng: random.Random) -> None:
        self._rng = rng
        self._backoff = Backoff(base=1.0, cap=300.0)
        self._failures = 0

    def first(self, now: float) -> float:  # noqa: ARG002 - it asked no clock
        """Beat at once."""
        return 0.0

    def next(self, answer: Answer | None, now: float) -> float:  # noqa: ARG002 - as above
        """Back off with full jitter, on top of what was asked for."""
        if answer is not None and answer.succeeded:
            self._failures = 0
            return INTERVAL * self._rng.uniform(0.9, 1.1)
        asked = answer.retry_after if answer is not None else None
        self._failures += 1
        return self._backoff.delay(self._failures - 1, self._rng, asked)


@dataclass(frozen=True)
class Scenario:
    """Something that happens to every agent at the same instant.

    Attributes:
        starts: Whether all processes start at that instant, or lived before it.
        outage: For how many seconds before the instant nothing had answered.
        told: What the control plane tells each agent at that instant, and then no more.
    """

    title: str
    starts: bool = False
    outage: float = 0.0
    told: Answer | None = None


SCENARIOS: Final = (
    Scenario("All processes start at the same instant", starts=True),
    Scenario("The network is back after ten minutes", outage=600.0),
    Scenario(
        "All start, and are told the same Retry-After of 30 s",
        starts=True,
        told=Answer(503, retry_after=30.0),
    ),
)


def simulate(scenario: Scenario, make: Callable[[int, random.Random], Host]) -> list[float]:
    """Return when requests reach the control plane, in seconds since the instant.

    For what all agents were told at the same instant only those count that come after it.
    """
    rng = random.Random(1)  # noqa: S311 - a simulation that can be repeated
    hosts = [make(number, rng) for number in range(AGENTS)]
    queue: list[tuple[float, int]] = []
    arrived: list[float] = []
    for number, host in enumerate(hosts):
        if scenario.told is not None:
            wait = host.next(scenario.told, START)
        elif scenario.starts:
            wait = host.first(START)
        else:
            # It had beaten at its time in the last interval before everything went silent.
            wait = -scenario.outage + rng.uniform(0, INTERVAL)
        heapq.heappush(queue, (wait, number))
    while queue and queue[0][0] < SHOWN:
        at, number = heapq.heappop(queue)
        is_silent = at < 0
        if not is_silent:
            arrived.append(at)
        wait = hosts[number].next(None if is_silent else ONLINE, START + at)
        heapq.heappush(queue, (at + wait, number))
    return arrived


def per_second(arrivals: Sequence[float]) -> list[int]:
    """Count the requests of each second."""
    counts = Counter(int(at) for at in arrivals)
    return [counts[second] for second in range(SHOWN)]


def main() -> None:
    """Simulate every scenario and draw what came out."""
    panels = []
    for scenario in SCENARIOS:
        before, after = (per_second(simulate(scenario, make)) for make in (Counting, Slotted))
        print(f"{scenario.title}: busiest second {max(before)} before, {max(after)} after")  # noqa: T201
        panels.append((scenario.title, before, after))
    DRAWING.write_text(draw(panels, fair=AGENTS / INTERVAL), "utf-8")


if __name__ == "__main__":
    main()
