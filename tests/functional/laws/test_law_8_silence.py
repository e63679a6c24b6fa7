"""Law 8: who goes silent is noticed, once and in time."""

from typing import Any

import pytest

from chalicelib import workers
from chalicelib.errors import Unavailable
from chalicelib.flows import bucket_sweep
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import changed_answer, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.silent import BUCKET_MS, MINUTE, OVERDUE_MS, events_of, online, status_of
from tests.functional.laws.stories import presence_of, set_presence


def test_a_silent_agent_is_offline_at_most_one_bucket_and_one_sweep_late(
    tenant: Tenant, swept: FrozenClock
) -> None:
    hosts: dict[str, int] = {}
    known: dict[str, Host] = {}
    for _ in range(5):  # beats spread over a bucket
        host = online(tenant)
        known[host.agent_id], hosts[host.agent_id] = host, swept.now
        swept.now += MINUTE
    raised: dict[str, int] = {}
    for _ in range(14):
        workers.sweep(None)
        for agent_id, host in known.items():
            if "agent.offline" in events_of(tenant, host):
                raised.setdefault(agent_id, swept.now)
        swept.now += MINUTE
    for agent_id, last_beat in hosts.items():
        late = raised[agent_id] - (last_beat + OVERDUE_MS)
        assert 0 <= late <= BUCKET_MS + MINUTE
        assert events_of(tenant, known[agent_id]).count("agent.offline") == 1
        assert presence_of(tenant, agent_id).due is None


def test_only_the_overdue_ones_are_marked(tenant: Tenant, swept: FrozenClock) -> None:
    silent, beating = online(tenant), online(tenant)
    enrolled, quarantined, revoked = tenant.enroll(), online(tenant), online(tenant)
    set_presence(tenant, quarantined.agent_id, AgentPresenceItem.status.set("quarantined"))
    tenant.call("POST", f"/agents/{revoked.agent_id}/revoke")
    for _ in range(10):
        swept.advance(seconds=60)
        assert beating.beat().status == 200
        workers.sweep(None)
    statuses = [
        status_of(tenant, host) for host in (silent, beating, enrolled, quarantined, revoked)
    ]
    assert statuses == ["offline", "online", "enrolled", "quarantined", "revoked"]
    offline = [
        host for host in (silent, beating, enrolled, quarantined, revoked)
        if "agent.offline" in events_of(tenant, host)
    ]  # fmt: skip
    assert offline == [silent]


def test_the_sweep_never_scans_and_its_cost_does_not_grow_with_the_fleet(
    tenant: Tenant, swept: FrozenClock
) -> None:
    hosts = [online(tenant) for _ in range(4)]
    swept.advance(seconds=60)
    for host in hosts:
        host.beat()
    with counted() as requests:
        workers.sweep(None)
    # The watermark, and two buckets of eight shards; the same of the denials, of four shards.
    assert requests.operations == ["GetItem", *["Query"] * 16, "GetItem", *["Query"] * 8]
    indexes = [sent.body["IndexName"] for sent in requests.sent if sent.operation == "Query"]
    assert indexes == ["overdue"] * 16 + ["due"] * 8
    swept.advance(seconds=600)
    with counted() as requests:
        workers.sweep(None)
    assert "Scan" not in requests.operations
    # One look and one transaction for each agent that went offline.
    assert requests.operations.count("TransactWriteItems") == 4
    assert requests.operations.count("GetItem") == 6


@pytest.mark.parametrize("operation", ["GetItem", "TransactWriteItems"])
def test_an_agent_that_beats_in_the_middle_of_the_sweep_is_spared(
    tenant: Tenant, swept: FrozenClock, operation: str
) -> None:
    host = online(tenant)
    swept.advance(seconds=900)
    first = 2 if operation == "GetItem" else 1  # The first look is at the watermark.
    with interleaved(host.beat, on=operation, first=first) as beats:
        done = workers.sweep(None)
    assert beats[0].status == 200
    assert done.offline == 0
    assert status_of(tenant, host) == "online"
    assert "agent.offline" not in events_of(tenant, host)
    swept.advance(seconds=900)
    assert workers.sweep(None).offline == 1


def test_two_sweeps_at_once_raise_one_event(tenant: Tenant, swept: FrozenClock) -> None:
    host = online(tenant)
    swept.advance(seconds=900)
    with interleaved(lambda: workers.sweep(None), on="TransactWriteItems") as others:
        mine = workers.sweep(None)
    assert (others[0].offline, mine.offline) == (1, 0)
    assert events_of(tenant, host).count("agent.offline") == 1


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.LOST, faults.CONFLICT], ids=str)
def test_one_fault_does_not_lose_or_double_the_event(
    tenant: Tenant, swept: FrozenClock, fault: faults.Fault
) -> None:
    host = online(tenant)
    swept.advance(seconds=900)
    with injected(fault, on="TransactWriteItems"):
        workers.sweep(None)
    assert events_of(tenant, host).count("agent.offline") == 1


@pytest.mark.parametrize("hours", [1, 5])
def test_an_outage_of_the_sweep_loses_nobody(
    tenant: Tenant, swept: FrozenClock, hours: int
) -> None:
    workers.sweep(None)
    hosts = []
    for _ in range(4):
        hosts.append(online(tenant))
        with injected(faults.DENIED, times=faults.ALWAYS), pytest.raises(Unavailable):
            workers.sweep(None)
        swept.advance(hours=hours / 4)
    swept.advance(seconds=900)
    assert workers.sweep(None).offline == 4
    assert all(events_of(tenant, host).count("agent.offline") == 1 for host in hosts)


def test_a_sweep_that_runs_out_of_time_goes_on_next_time(
    tenant: Tenant, swept: FrozenClock
) -> None:
    class Context:
        aws_request_id = "r"

        def get_remaining_time_in_millis(self) -> int:
            return 0

    host = online(tenant)
    swept.advance(seconds=3600)
    with counted() as requests:
        workers.sweep(Context())
    assert requests.operations.count("Query") == 16 + 8
    for _ in range(12):
        workers.sweep(Context())
    assert "agent.offline" in events_of(tenant, host)


def test_one_agent_that_cannot_be_marked_does_not_stop_the_others(
    tenant: Tenant, swept: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One after the other, so that all the faults meet the same agent.
    monkeypatch.setattr(bucket_sweep, "_AT_ONCE", 1)
    hosts = [online(tenant) for _ in range(4)]
    swept.advance(seconds=900)

    # The first agent that is met is contended for as long as this sweep lasts.
    with injected(faults.CONFLICT, on="TransactWriteItems", times=8):
        workers.sweep(None)
    marked = [host for host in hosts if "agent.offline" in events_of(tenant, host)]
    assert len(marked) == 3
    swept.advance(seconds=60)
    assert workers.sweep(None).offline == 1


def test_an_index_that_lags_is_looked_at_again(tenant: Tenant, swept: FrozenClock) -> None:
    host = online(tenant)
    swept.now += OVERDUE_MS + BUCKET_MS

    def empty(parsed: dict[str, Any]) -> None:
        parsed["Items"], parsed["Count"] = [], 0

    with changed_answer("Query", empty, times=faults.ALWAYS):
        workers.sweep(None)
    swept.advance(seconds=60)
    assert workers.sweep(None).offline == 1
    assert "agent.offline" in events_of(tenant, host)


def test_a_sweep_whose_time_is_up_within_a_bucket_leaves_the_rest_to_the_next(
    tenant: Tenant, swept: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Context:
        aws_request_id = "r"

        def get_remaining_time_in_millis(self) -> int:
            return 0

    monkeypatch.setattr(bucket_sweep, "_CHUNK", 2)
    hosts = [online(tenant) for _ in range(5)]
    swept.advance(seconds=900)
    marked = [workers.sweep(Context()).offline for _ in range(8)]
    assert [count for count in marked if count] == [2, 2, 1]
    assert all(events_of(tenant, host).count("agent.offline") == 1 for host in hosts)
