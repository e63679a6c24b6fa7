"""Law 2: a repetition of the last beat is answered as accepted, and moves nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import workers
from chalicelib.credentials.opaque import digest
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, restarted
from tests.functional.laws.faults import LOST, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of, refusals_of, rows_of, set_presence

_P = AgentPresenceItem
NONCE = "n" * 16
Prepare = Callable[[Tenant, Host, FrozenClock], None]


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """A host whose beat was accepted a moment ago."""
    host = tenant.enroll()
    assert host.beat(nonce=NONCE).status == 200
    return host


def row_of(tenant: Tenant) -> dict[str, Any]:
    (row,) = rows_of(tenant, "agent_presence")
    return row


def repeat(host: Host, **said: Any) -> Answer:
    return host.repeat_beat(nonce=NONCE, **said)


def offline(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    clock.advance(seconds=1)
    set_presence(tenant, host.agent_id, _P.status.set("offline"), _P.due.remove())


def first(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    del tenant, host, clock


def steady(_: Tenant, host: Host, clock: FrozenClock) -> None:
    clock.advance(seconds=INTERVAL)
    assert host.beat(nonce=NONCE).status == 200


def back_online(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    offline(tenant, host, clock)
    steady(tenant, host, clock)


def restart(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    restarted(host)
    steady(tenant, host, clock)


@pytest.mark.parametrize("before", [first, steady, back_online, restart])
def test_a_repetition_is_accepted_and_moves_nothing(
    tenant: Tenant, host: Host, clock: FrozenClock, before: Prepare
) -> None:
    before(tenant, host, clock)
    accepted, events = row_of(tenant), len(tenant.audit("agent", host.agent_id))
    changed = {"agent_version": "9.9.9", "unpersisted": True, "facts": "f" * 64}
    for later, said in ((0.001, {}), (1, changed), (15, {}), (60, changed), (3600, {})):
        clock.advance(seconds=later)
        answer = repeat(host, **said)
        assert (answer.status, answer.body["status"]) == (200, "online")
        assert row_of(tenant) == accepted
    assert len(tenant.audit("agent", host.agent_id)) == events
    assert refusals_of(tenant, host.agent_id) == []


def test_many_repetitions_are_no_way_round_the_limit(
    tenant: Tenant, host: Host, swept: FrozenClock
) -> None:
    """An agent that only repeats itself goes offline, and stays it."""
    for _ in range(20):
        swept.advance(seconds=60)
        assert repeat(host, agent_version="9").status == 200
        workers.sweep(None)
    shown = tenant.call("GET", f"/agents/{host.agent_id}").body
    assert (shown["status"], presence_of(tenant, host.agent_id).status) == ("offline", "offline")
    assert row_of(tenant)["v"] == {"S": ""}
    assert host.beat().status == 200
    assert presence_of(tenant, host.agent_id).status == "online"


def test_a_repetition_costs_one_request_and_no_later_beat(host: Host, clock: FrozenClock) -> None:
    with counted() as requests:
        assert repeat(host).status == 200
    assert requests.writes == ["UpdateItem"]
    clock.advance(seconds=15)
    assert repeat(host).status == 200
    assert host.beat().status == 200


REFUSED: list[tuple[list[Any], int, str]] = [
    ([_P.key.set(b"another")], 401, "key_superseded"),
    ([_P.status.set("revoked")], 401, "key_revoked"),
    ([_P.status.set("quarantined")], 403, "agent_quarantined"),
    ([_P.scopes.set({"agent:artifact_upload"})], 403, "scope_missing"),
    ([_P.scopes.remove()], 403, "scope_missing"),
    ([_P.status.set("hibernating")], 503, "status_unknown"),
]


@pytest.mark.parametrize("first_of", range(len(REFUSED)))
def test_a_repetition_is_refused_for_the_first_reason_of_the_order(
    tenant: Tenant, host: Host, first_of: int
) -> None:
    for actions, _, _ in reversed(REFUSED[first_of:]):
        set_presence(tenant, host.agent_id, *actions)
    before = row_of(tenant)
    answer = repeat(host)
    assert (answer.status, answer.code) == REFUSED[first_of][1:]
    assert row_of(tenant) == before


def test_a_repetition_of_an_agent_that_is_gone_is_404(tenant: Tenant, host: Host) -> None:
    presence_of(tenant, host.agent_id).delete()
    assert (repeat(host).status, repeat(host).code) == (404, "agent_not_found")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"nonce": "o" * 16}, "sequence_stale"),
        ({"instance": "j" * 20}, "heartbeat_too_soon"),
        ({"sequence": 2}, "heartbeat_too_soon"),
        ({"sequence": 0}, "validation_failed"),
        ({"collector_id": "col_" + "0" * 20}, "key_wrong_collector"),
        ({"asset_id": "ast_" + "0" * 20}, "key_wrong_asset"),
    ],
    ids=str,
)
def test_what_differs_in_one_member_is_no_repetition(
    tenant: Tenant, host: Host, change: dict[str, Any], code: str
) -> None:
    before = row_of(tenant)
    answer = host.repeat_beat(**{"nonce": NONCE, **change})
    assert answer.code == code, answer.body
    assert row_of(tenant) == before


def test_directives_reach_the_agent_with_the_repetition(tenant: Tenant, host: Host) -> None:
    set_presence(tenant, host.agent_id, _P.rotation_requested.set(True), _P.facts.set(b"a" * 32))
    before = row_of(tenant)
    for facts, wanted in (("a", False), ("b", True)):
        answer = repeat(host, facts=facts.encode().hex() * 32)
        told = answer.body["facts_wanted"], answer.body["rotate_key"]
        assert (answer.status, *told) == (200, wanted, True)
    assert row_of(tenant) == before


@pytest.mark.parametrize("state", ["steady", "told", "first", "offline", "restarted", "promoting"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_beat_whose_answers_were_lost_is_written_once(
    tenant: Tenant, host: Host, clock: FrozenClock, state: str, lost: int
) -> None:
    clock.advance(seconds=61)
    if state == "told":
        set_presence(tenant, host.agent_id, _P.rotation_requested.set(True))
    if state == "first":
        set_presence(tenant, host.agent_id, _P.status.set("enrolled"))
        set_presence(tenant, host.agent_id, *(one.remove() for one in (_P.instance, _P.sequence)))
    if state == "offline":
        offline(tenant, host, clock)
    if state == "restarted":
        restarted(host)
    if state == "promoting":
        tenant.call("POST", f"/agents/{host.agent_id}/runtime-key/request-rotation")
        host.key = host.call("POST", "/runtime-key/rotate", {}).body["runtime_key"]
    slow = state in {"first", "offline", "restarted"}
    second = state in {"told", "promoting"}
    operation = "TransactWriteItems" if slow else "UpdateItem"
    with injected(LOST, on=operation, first=2 if second else 1, times=lost):
        answer = host.beat(nonce="m" * 16)
    assert (answer.status, answer.body["rotate_key"]) == (200, state == "told")
    row = presence_of(tenant, host.agent_id)
    assert (row.status, row.sequence, row.last_seen) == ("online", host.sequence, clock.now)
    assert row.key == digest(host.key)
    before = row_of(tenant)
    clock.advance(seconds=1)
    assert host.repeat_beat(nonce="m" * 16).status == 200
    assert row_of(tenant) == before
    assert refusals_of(tenant, host.agent_id) == []


def test_a_repetition_under_the_key_that_was_replaced_is_refused(
    host: Host, clock: FrozenClock
) -> None:
    old, host.key = host.key, host.call("POST", "/runtime-key/rotate", {}).body["runtime_key"]
    clock.advance(seconds=INTERVAL)
    assert host.beat(nonce=NONCE).status == 200
    assert repeat(host).status == 200
    host.key = old
    assert repeat(host).code == "key_superseded"


@pytest.mark.parametrize("state", ["online", "offline"])
def test_a_repetition_that_shows_the_pending_key_promotes_it_and_moves_nothing_else(
    tenant: Tenant, host: Host, clock: FrozenClock, state: str
) -> None:
    """A key that was answered as accepted is the agent's, and the one before has ended."""
    tenant.call("POST", f"/agents/{host.agent_id}/runtime-key/request-rotation")
    old, host.key = host.key, host.call("POST", "/runtime-key/rotate", {}).body["runtime_key"]
    if state == "offline":
        offline(tenant, host, clock)
    before = row_of(tenant)
    clock.advance(seconds=1)
    with counted() as requests:
        answer = repeat(host)
    assert (answer.status, answer.body["rotate_key"]) == (200, False)
    assert requests.writes == ["UpdateItem", "UpdateItem"]
    del before["r"]
    assert row_of(tenant) == {**before, "k": before["p"]}
    with counted() as requests:
        assert repeat(host).status == 200
    assert requests.writes == ["UpdateItem"]
    host.key = old
    assert repeat(host).code == "key_superseded"


@pytest.mark.parametrize("change", ["revoke", "quarantine", "later beat"])
def test_what_happens_before_the_repetition_promotes_a_key_wins(
    tenant: Tenant, host: Host, clock: FrozenClock, change: str
) -> None:
    old, host.key = host.key, host.call("POST", "/runtime-key/rotate", {}).body["runtime_key"]
    clock.advance(seconds=INTERVAL)

    def happen() -> Answer:
        if change == "later beat":
            former = Host(host.api, host.agent_id, old, {}, host.instance, host.sequence)
            return former.beat()
        return tenant.call("POST", f"/agents/{host.agent_id}/{change}", {})

    with interleaved(happen, on="UpdateItem", first=2) as others:
        answer = repeat(host)
    assert others[0].status == 200, others[0].body
    codes = {
        "revoke": "key_revoked",
        "quarantine": "agent_quarantined",
        "later beat": "sequence_stale",
    }
    assert answer.code == codes[change]
    assert presence_of(tenant, host.agent_id).key == digest(old)


def test_an_agent_that_was_revoked_while_its_answer_was_lost_is_told_so(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    clock.advance(seconds=INTERVAL)
    assert host.beat(nonce=NONCE).status == 200
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    assert (repeat(host).status, repeat(host).code) == (401, "key_revoked")


def test_a_released_agent_is_not_brought_back_by_a_repetition(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    tenant.call("POST", f"/agents/{host.agent_id}/quarantine", {})
    clock.advance(seconds=300)
    tenant.call("POST", f"/agents/{host.agent_id}/release", {"decision": "keep"})
    before = row_of(tenant)
    assert repeat(host).status == 200
    assert row_of(tenant) == before
    assert host.beat().status == 200
