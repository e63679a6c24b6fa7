"""Two requests at once: each is held before each of its requests to AWS, while the other ends.

The stories find such races by chance; these are all that there are of the kind.
"""

from collections.abc import Callable, Sequence

import pytest

from tests.functional.model.checks import Run
from tests.functional.model.kinds import IDEMPOTENCY_KEYS, Kinds
from tests.functional.model.operations import Operation
from tests.functional.model.stage import Stage

_TO_ITS_END = 60
# The last request of an exchange is its third; of a replay and a cascade the fourth; of a verdict
# the fifth.
_LAST = 4
_LAST_OF_A_VERDICT = 5
Pair = Callable[[Run, Kinds], Sequence[Operation]]


def _token(run: Run, kinds: Kinds) -> str:
    organization = next(iter(run.live.tenants))
    answer = run.lead_up(kinds.mint(organization, 1))
    return str(answer.body["enrollment_token_id"])


def _agent(run: Run, kinds: Kinds, *, beats: bool = True) -> str:
    answer = run.lead_up(kinds.of_a_token(_token(run, kinds), "first key"))
    agent = str(answer.body["agent_id"])
    if beats:
        run.lead_up(kinds.beat(run.state.agents[agent], "beat"))
    # So long that a heartbeat looks at its environment's interval again: each has as many requests.
    run.state.clock.advance(seconds=15)
    return agent


def _for_a_token(*names: str) -> Pair:
    def pair(run: Run, kinds: Kinds) -> Sequence[Operation]:
        token = _token(run, kinds)
        return [kinds.of_a_token(token, name) for name in names]

    return pair


def _for_an_agent(*names: str, beats: bool = True, announced: bool = False) -> Pair:
    def pair(run: Run, kinds: Kinds) -> Sequence[Operation]:
        agent = _agent(run, kinds, beats=beats)
        if announced:
            run.lead_up(kinds.announce(run.state.agents[agent]))
            run.state.clock.advance(seconds=1)
        operations: list[Operation] = []
        for name in names:
            operations += kinds.of_an_agent(agent, name, operations)
        return operations

    return pair


def _for_a_rotated(name: str) -> Pair:
    def pair(run: Run, kinds: Kinds) -> Sequence[Operation]:
        agent = _agent(run, kinds)
        run.lead_up(*kinds.of_an_agent(agent, "rotate", []))
        run.state.clock.advance(seconds=60)
        both = (name, "rotate")
        return [one for kind in both for one in kinds.of_an_agent(agent, kind, [])]

    return pair


def _for_a_quarantined(*names: str) -> Pair:
    def pair(run: Run, kinds: Kinds) -> Sequence[Operation]:
        agent = _agent(run, kinds)
        run.lead_up(*kinds.of_an_agent(agent, "quarantine", []))
        return [one for kind in names for one in kinds.of_an_agent(agent, kind, [])]

    return pair


def _when_missed(run: Run, kinds: Kinds) -> Sequence[Operation]:
    agent = _agent(run, kinds)
    run.state.clock.advance(hours=7)
    return [kinds.beat(run.state.agents[agent], "beat"), *kinds.of_an_agent(agent, "sweep", [])]


PAIRS = {
    "two hosts and one use": _for_a_token("exchange", "exchange"),
    "one host twice": _for_a_token("first key", "first key"),
    "an exchange and a revoke": _for_a_token("first key", "revoke"),
    "an exchange and a cascade": _for_a_token("exchange", "cascade and job"),
    "two cascades": _for_a_token("cascade", "cascade"),
    "a replay and the first heartbeat": _for_an_agent("replay", "beat", beats=False),
    "two replays": _for_an_agent("replay", "replay", beats=False),
    "a replay and the token's revoke": _for_an_agent("replay", "revoke token", beats=False),
    "a replay and the agent's revoke": _for_an_agent("replay", "revoke", beats=False),
    "the first heartbeat and a revoke": _for_an_agent("beat", "revoke", beats=False),
    "two heartbeats": _for_an_agent("beat", "beat"),
    "a heartbeat sent twice": _for_an_agent("beat", "repeat"),
    "a heartbeat and a restart": _for_an_agent("beat", "restart"),
    "two rotations": _for_an_agent("rotate", "rotate"),
    "a rotation and a heartbeat": _for_an_agent("rotate", "beat"),
    "a rotation and a revoke": _for_an_agent("rotate", "revoke"),
    "a rotation and a quarantine": _for_an_agent("rotate", "quarantine"),
    "the first use of a key and another rotation": _for_a_rotated("beat with pending key"),
    "a heartbeat and a quarantine": _for_an_agent("beat", "quarantine"),
    "a restart and a quarantine": _for_an_agent("restart", "quarantine"),
    "the first heartbeat and a quarantine": _for_an_agent("beat", "quarantine", beats=False),
    "a replay and a quarantine": _for_an_agent("replay", "quarantine", beats=False),
    "two quarantines": _for_an_agent("quarantine", "quarantine"),
    "a revoke and a quarantine": _for_an_agent("revoke", "quarantine"),
    "two releases": _for_a_quarantined("release", "release"),
    "a release and a heartbeat": _for_a_quarantined("release", "beat"),
    "a release and a revoke": _for_a_quarantined("release", "revoke"),
    "two revokes": _for_an_agent("revoke", "revoke"),
    "two announcements": _for_an_agent("announce", "announce"),
    "an announcement and a verdict": _for_an_agent("announce", "verify", announced=True),
    "two verdicts": _for_an_agent("verify", "verify", announced=True),
    "a verdict and a revoke": _for_an_agent("verify", "revoke", announced=True),
    "a heartbeat and the sweep": _when_missed,
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_two_requests_at_once_are_as_one_after_the_other(
    stage: Stage, pair: Pair, request: pytest.FixtureRequest
) -> None:
    last = _LAST_OF_A_VERDICT if "verdict" in request.node.name else _LAST
    run = Run(stage, IDEMPOTENCY_KEYS)
    kinds = Kinds(run)
    for held in (0, 1):
        for pauses in range(2, last + 1):
            operations = pair(run, kinds)
            run.step(*operations, order=[(held, pauses), (1 - held, _TO_ITS_END)])
