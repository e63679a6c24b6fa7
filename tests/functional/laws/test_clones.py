"""Two copies of one identity are noticed by the third beat."""

import random

import pytest

from chalicelib import workers
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import (
    INTERVAL,
    copy_of,
    noticed,
    restarted,
    status_of,
)
from tests.functional.laws.faults import OF_A_WRITE, Fault, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import idempotency_key, refusals_of

_P = AgentPresenceItem


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """An enrolled host that has not beaten."""
    return tenant.enroll()


def beaten(host: Host, clock: FrozenClock, *, times: int = 1) -> Host:
    """The host beats steadily."""
    for _ in range(times):
        assert host.beat().status == 200
        clock.advance(seconds=INTERVAL)
    return host


def events(tenant: Tenant, host: Host) -> list[str]:
    """What happened to the agent."""
    records = tenant.audit("agent", host.agent_id)
    return [record["event"] for record in records if record["outcome"] == "success"]


# ------------------------------------------------------------------------------ noticed


def test_two_copies_are_noticed_by_the_third_beat(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = copy_of(host)
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    assert other.beat().status == 200
    clock.advance(seconds=INTERVAL)
    with counted() as requests:
        answer = host.beat()
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    # The transaction, and the evidence of the refusal.
    assert requests.writes == ["UpdateItem", "TransactWriteItems", "PutItem"]
    assert events(tenant, host)[-1] == "agent.quarantined"
    for one in (host, other):
        assert one.beat().code == "agent_quarantined"


def test_the_record_names_both_copies(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    noticed(tenant, host, clock)
    shown = tenant.call("GET", f"/agents/{host.agent_id}").body
    assert shown["status"] == "quarantined"
    noted = shown["quarantine"]
    assert (noted["reason"], noted["note"], len(noted["copies"])) == ("clone", None, 2)
    present, returned = noted["copies"]
    assert present["first_seen_at"] is not None
    assert returned["first_seen_at"] is None
    (record,) = (
        one for one in tenant.audit("agent", host.agent_id) if one["event"] == "agent.quarantined"
    )
    assert record["detail"]["instances"] == [present["instance"], returned["instance"]]
    assert record["detail"]["reason"] == "clone"


@pytest.mark.parametrize("order", ["ABCA", "ABCB", "AABBA", "ABBBA"])
def test_any_order_in_which_one_returns_is_noticed(
    host: Host, clock: FrozenClock, order: str
) -> None:
    copies = {name: copy_of(host) for name in set(order)}
    answers = []
    for name in order:
        answers.append(copies[name].beat().status)
        clock.advance(seconds=INTERVAL / 2)
    assert answers == [200] * (len(order) - 1) + [403]


@pytest.mark.parametrize(("many", "interval"), [(2, 2), (10, 60), (30, 5), (100, 60), (10, 3600)])
def test_clones_of_one_image_are_noticed_in_whatever_order_they_come(
    tenant: Tenant, clock: FrozenClock, many: int, interval: int
) -> None:
    chance = random.Random(many * interval)  # noqa: S311 - the same order each time
    quick = tenant.api.new_tenant(heartbeat_interval=interval)
    host = quick.enroll()
    due = [(chance.uniform(0, interval), number) for number in range(many)]
    copies = [copy_of(host) for _ in range(many)]
    start = clock.now
    # By then every copy has had a few beats at most.
    while clock.now - start <= (3 * interval + 60) * 1000:
        due.sort()
        at, number = due.pop(0)
        clock.now = max(clock.now, start + int(at * 1000))
        answer = copies[number].beat()
        if answer.code == "agent_quarantined":
            break
        assert answer.status in {200, 429}, answer.body
        wait = float(answer.headers["Retry-After"]) if answer.status == 429 else interval
        due.append(((clock.now - start) / 1000 + wait, number))
    assert status_of(quick, host) == "quarantined"


def test_a_live_copy_is_noticed_beside_one_that_starts_again_and_again(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other, beats = copy_of(host), 0
    while status_of(tenant, host) != "quarantined":
        assert host.beat().status in {200, 403, 429}
        for _ in range(3):
            clock.advance(seconds=INTERVAL / 4 + 1)
            restarted(other).beat()
        beats += 1
        assert beats < 5


def test_copies_that_come_back_after_an_outage_are_noticed(
    tenant: Tenant, host: Host, swept: FrozenClock
) -> None:
    other = copy_of(host)
    beaten(host, swept)
    assert other.beat().status == 200
    swept.advance(seconds=3600)
    workers.sweep(None)
    assert status_of(tenant, host) == "offline"
    codes = []
    for one in (host, other, host, other):
        codes.append(one.beat().status)
        swept.advance(seconds=INTERVAL)
    assert codes == [200, 200, 403, 403]


def test_a_copy_made_before_the_first_beat_is_noticed_too(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    clock.advance(seconds=1)  # records of one millisecond have no order
    noticed(tenant, host, clock)
    assert events(tenant, host) == [
        "agent.enrolled", "agent.online", "agent.restarted", "agent.quarantined",
    ]  # fmt: skip


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
def test_a_fault_of_the_quarantine_is_no_failure_and_one_change(
    tenant: Tenant, host: Host, clock: FrozenClock, fault: Fault
) -> None:
    other = copy_of(host)
    beaten(host, clock)
    beaten(other, clock)
    with injected(fault, on="TransactWriteItems"):
        answer = host.beat()
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    assert status_of(tenant, host) == "quarantined"
    assert events(tenant, host).count("agent.quarantined") == 1


# ------------------------------------------------------------------------------- evidence


def test_the_beats_of_a_quarantined_agent_cost_one_record_a_minute(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    clock.now -= clock.now % 60_000
    before = len(refusals_of(tenant, host.agent_id))
    with counted() as requests:
        for _ in range(5):
            for one in (host, other):
                assert one.beat().code == "agent_quarantined"
                clock.advance(seconds=5)
    assert requests.writes == ["UpdateItem", "PutItem", *["UpdateItem"] * 9]
    assert len(refusals_of(tenant, host.agent_id)) == before + 1


def test_a_quarantined_agent_may_do_nothing_else(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    noticed(tenant, host, clock)
    assert host.call("GET", "/artifacts/art_" + "0" * 20).code == "agent_quarantined"
    for method, path, body in (
        ("PUT", "/facts", {"facts_sha256": "a" * 64, "facts": {"cpus": 4}}),
        ("POST", "/decommission", None),
        ("POST", "/split", {"instance": host.instance}),
    ):
        headers = {"Idempotency-Key": idempotency_key()}
        assert host.call(method, path, body, headers=headers).code == "agent_quarantined"


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("revoke", 401, "key_revoked"), ("runtime-key/request-rotation", 403, "agent_quarantined")],
)
def test_what_changes_the_row_before_the_quarantine_is_what_the_copy_is_told(
    tenant: Tenant, host: Host, clock: FrozenClock, end: str, status: int, code: str
) -> None:
    other = copy_of(host)
    for one in (host, other):
        beaten(one, clock)
    path = f"/agents/{host.agent_id}/{end}"
    with interleaved(lambda: tenant.call("POST", path), on="TransactWriteItems") as others:
        answer = host.beat()
    assert others[0].status == 200
    assert (answer.status, answer.code) == (status, code)


def test_a_process_that_follows_in_the_middle_of_a_quarantine_changes_nothing(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other, third = copy_of(host), copy_of(host)
    for one in (host, other):
        beaten(one, clock)
    with interleaved(third.beat, on="TransactWriteItems") as others:
        answer = host.beat()
    assert others[0].status == 200
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    assert status_of(tenant, host) == "quarantined"
    assert events(tenant, host).count("agent.quarantined") == 1


def test_a_revoke_ends_a_quarantined_agent(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    other = noticed(tenant, host, clock)
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").body["status"] == "revoked"
    assert [one.beat().code for one in (host, other)] == ["key_revoked", "key_revoked"]
    assert tenant.call("GET", f"/agents/{host.agent_id}").body["quarantine"] is None
