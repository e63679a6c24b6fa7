"""Law 3: of what was sent after the answer of a revoke, nothing is accepted; 200 times."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, Host
from tests.engines import figures
from tests.engines.steady_load import ARTIFACT, BEAT, Fleet, Sent

REVOKES = 200
AT_WORK = 45
BEATING, ASKING, REVOKING = 4, 3, 2
ENDED = (401, "key_revoked")


@pytest.fixture
def hosts(calls: Calls) -> list[Host]:
    """Agents that beat, of one token."""
    token = calls.mint(uses=REVOKES)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: calls.online(token), range(REVOKES)))


def test_nothing_sent_after_the_answer_of_a_revoke_is_accepted(
    stack: LocalStack, calls: Calls, hosts: list[Host]
) -> None:
    fleet = Fleet(stack, hosts, AT_WORK)
    revoked: dict[str, float] = {}
    seconds: list[float] = []
    turn = threading.Lock()

    def revoke_all() -> None:
        while True:
            with turn:
                if fleet.next == REVOKES:
                    return
                host = hosts[fleet.next]
                fleet.next += 1
            begun = time.monotonic()
            assert calls.operator("POST", f"/agents/{host.id}/revoke").status_code == 200
            revoked[host.id] = time.monotonic()
            seconds.append(revoked[host.id] - begun)
            # The very next requests, beside those of the steady load.
            for route in (BEAT, ARTIFACT):
                fleet.send(host, route)

    begun = time.monotonic()
    with fleet.at_work(BEATING, ASKING), ThreadPoolExecutor(REVOKING) as pool:
        for one in [pool.submit(revoke_all) for _ in range(REVOKING)]:
            one.result()
    lasted = time.monotonic() - begun

    late = [sent for sent in fleet.sent if sent.at > revoked[sent.agent]]
    assert [sent for sent in late if (sent.status, sent.code) != ENDED] == []
    for route in (BEAT, ARTIFACT):
        assert {sent.agent for sent in late if sent.route == route} == {host.id for host in hosts}
    _was_under_load(fleet.sent, revoked)
    figures.note("law_3_revokes", _figures(fleet.sent, revoked, seconds, lasted))


def _was_under_load(sent: list[Sent], revoked: dict[str, float]) -> None:
    """The proof is worth nothing where the agents were at rest."""
    busy = {one.agent for one in sent if one.accepted and one.at < revoked[one.agent]}
    assert len(busy) > 0.9 * REVOKES
    racing = [one for one in sent if one.at < revoked[one.agent] < one.answered_at]
    assert len(racing) > REVOKES / 10


def _figures(
    sent: list[Sent], revoked: dict[str, float], seconds: list[float], lasted: float
) -> dict[str, object]:
    late = [one for one in sent if one.at > revoked[one.agent]]
    racing = [one for one in sent if one.at < revoked[one.agent] < one.answered_at]
    shortest = min(one.at - revoked[one.agent] for one in late)
    return {
        "revokes": len(revoked),
        "seconds": round(lasted, 1),
        "requests": len(sent),
        "requests_per_second": round(len(sent) / lasted),
        "accepted": sum(one.accepted for one in sent),
        "under_way_at_the_answer": len(racing),
        "of_them_accepted": sum(one.accepted for one in racing),
        "sent_after_the_answer": len(late),
        "of_those_accepted": sum(one.accepted for one in late),
        "microseconds_from_answer_to_next_request": round(shortest * 1e6),
        "revoke_milliseconds_median": round(statistics.median(seconds) * 1000),
    }
