"""How much a run measures: in full, or only so much that every step has been done once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How often each thing is measured.

    Args:
        agents: enrolled before anything is measured; at least twice as many as `beats`, so that
            no agent beats too soon.
        cold_starts: pairs of fresh processes.
        rounds: pairs of a warm measurement.
        warming_rounds: pairs before those, which are not counted.
        beats: heartbeats of one round.
        exchanges: exchanges of one round, and the uses of its token: few enough for the token to
            count them in its own row.
        operator_requests: requests of an operator in one round.
        clients: numbers of callers at once.
        throughput_seconds: for each number of callers.
        imports: fresh processes whose imports are timed.
        agent_settling_seconds: after the host agent's first beat, before it is watched.
        agent_seconds: for which the host agent is watched.
    """

    agents: int
    cold_starts: int
    rounds: int
    warming_rounds: int
    beats: int
    exchanges: int
    operator_requests: int
    clients: tuple[int, ...]
    throughput_seconds: float
    imports: int
    agent_settling_seconds: float
    agent_seconds: float


FULL = Size(
    agents=400,
    cold_starts=20,
    rounds=30,
    warming_rounds=2,
    beats=150,
    exchanges=40,
    operator_requests=100,
    clients=(1, 16, 64),
    throughput_seconds=4.0,
    imports=5,
    agent_settling_seconds=5.0,
    agent_seconds=90.0,
)
# Two of what a spread is taken of: it needs as many.
SMALL = Size(
    agents=4,
    cold_starts=2,
    rounds=2,
    warming_rounds=0,
    beats=2,
    exchanges=2,
    operator_requests=1,
    clients=(1, 2),
    throughput_seconds=0.1,
    imports=1,
    agent_settling_seconds=0.0,
    agent_seconds=0.5,
)
