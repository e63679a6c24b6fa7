"""Law 8: the status is computed from presence; who goes silent is noticed, once and in time."""

from typing import Any

import pytest

from chalicelib import settings, workers
from chalicelib.errors import Unavailable
from chalicelib.flows import bucket_sweep
from chalicelib.store import sweep_watermark
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import changed_answer, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of, set_presence

_P = AgentPresenceItem
MINUTE = 60_000
BUCKET_MS = 300_000
OVERDUE_MS = 3 * MINUTE


@pytest.fixture
def swept(api: object, clock: FrozenClock) -> FrozenClock:
    """The start of a bucket, on a stage whose sweep has been running."""
    assert api
    assert settings.load().presence_bucket_seconds * 1000 == BUCKET_MS
    clock.now -= clock.now % BUCKET_MS
    for watermark in (sweep_watermark.OVERDUE, sweep_watermark.DENIALS):
        sweep_watermark.advance(clock.now // 1000 - 600, watermark)
    return clock


def status_of(tenant: Tenant, host: Host) -> str:
    seen = tenant.call("GET", f"/agents/{host.agent_id}").body
    listed = tenant.call("GET", "/agents").body["agents"]
    assert [agent["status"] for agent in listed if agent["agent_id"] == host.agent_id] == [
        seen["status"]
    ]
    return str(seen["status"])


def events_of(tenant: Tenant, host: Host) -> list[str]:
    return sorted(record["event"] for record in tenant.audit("agent", host.agent_id))


def online(tenant: Tenant) -> Host:
    host = tenant.enroll()
    assert host.beat().status == 200
    return host


@pytest.mark.parametrize(
    ("silent_ms", "status"),
    [
        (0, "online"),
        (90_000, "online"),
        (90_001, "late"),
        (179_999, "late"),
        (180_000, "offline"),
        (86_400_000, "offline"),
    ],
)
def test_the_status_follows_from_the_time_of_silence(
    tenant: Tenant, clock: FrozenClock, silent_ms: int, status: str
) -> None:
    host = online(tenant)
    clock.now += silent_ms
    assert status_of(tenant, host) == status
    found = tenant.call("GET", f"/agents?status={status}").body["agents"]
    assert [agent["agent_id"] for agent in found] == [host.agent_id]


def test_the_status_follows_the_environments_interval(tenant: Tenant, clock: FrozenClock) -> None:
    quick = tenant.api.new_tenant(heartbeat_interval=10)
    host = online(quick)
    clock.now += 15_001
    assert status_of(quick, host) == "late"
    clock.now += 15_000
    assert status_of(quick, host) == "offline"


@pytest.mark.parametrize("status", ["enrolled", "quarantined", "revoked"])
def test_other_statuses_do_not_depend_on_time(
    tenant: Tenant, clock: FrozenClock, status: str
) -> None:
    host = tenant.enroll()
    if status != "enrolled":
        host.beat()
        set_presence(tenant, host.agent_id, _P.status.set(status))
    clock.advance(days=2)
    assert status_of(tenant, host) == status


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
    set_presence(tenant, quarantined.agent_id, _P.status.set("quarantined"))
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


def test_who_comes_back_says_so_once(tenant: Tenant, swept: FrozenClock) -> None:
    host = online(tenant)
    swept.advance(seconds=900)
    workers.sweep(None)
    assert status_of(tenant, host) == "offline"
    for _ in range(2):
        assert host.beat().status == 200
        swept.advance(seconds=60)
    assert events_of(tenant, host) == [
        "agent.enrolled",
        "agent.offline",
        "agent.online",
        "agent.online",
    ]
    assert status_of(tenant, host) == "online"


def test_an_agent_that_cannot_keep_its_key_says_so(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    for unpersisted in (True, False):
        host.beat(unpersisted=unpersisted)
        seen = tenant.call("GET", f"/agents/{host.agent_id}").body
        assert seen["unpersisted"] is unpersisted
        clock.advance(seconds=60)


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
