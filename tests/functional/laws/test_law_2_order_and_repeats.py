"""Law 2: the order of the reasons; repeats, races and faults that must not look like clones."""

from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.credentials import runtime_key
from chalicelib.credentials.opaque import digest
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import Fault, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of, refusals_of, set_presence

_P = AgentPresenceItem


@pytest.fixture
def host(tenant: Tenant, clock: FrozenClock) -> Host:
    """A host that has beaten and may beat again."""
    host = tenant.enroll()
    host.sequence = 9
    assert host.beat().status == 200
    clock.advance(seconds=60)
    return host


# What makes each reason true, in the order of the law. `None` is the row's absence.
REASONS: list[tuple[str, list[Any] | None]] = [
    ("agent_not_found", None),
    ("key_superseded", [_P.key.set(b"another")]),
    ("key_revoked", [_P.status.set("revoked")]),
    ("agent_quarantined", [_P.status.set("quarantined")]),
    ("scope_missing", [_P.scopes.set({"agent:artifact_upload"})]),
    ("sequence_stale", [_P.sequence.set(99)]),
    ("heartbeat_too_soon", [_P.next_allowed.set(2**53)]),
]


@pytest.mark.parametrize("first", range(len(REASONS)), ids=[reason for reason, _ in REASONS])
def test_the_first_reason_of_the_order_is_given(tenant: Tenant, host: Host, first: int) -> None:
    """All later reasons hold too, as far as one row can hold them."""
    host.sequence += 1
    for reason, actions in reversed(REASONS[first:]):
        if actions is None:
            presence_of(tenant, host.agent_id).delete()
        else:
            set_presence(tenant, host.agent_id, *actions)
        answer = host.repeat_beat(nonce="n" * 16)
        assert answer.code == reason, answer.body


@pytest.mark.parametrize("route", ["heartbeat", "artifacts"])
def test_other_routes_give_their_reasons_in_the_same_order(
    tenant: Tenant, host: Host, route: str
) -> None:
    for reason, actions in reversed(REASONS[:5]):
        if actions is None:
            presence_of(tenant, host.agent_id).delete()
        elif reason == "scope_missing":
            set_presence(tenant, host.agent_id, _P.scopes.remove())
        else:
            set_presence(tenant, host.agent_id, *actions)
        answer = host.beat() if route == "heartbeat" else host.call("GET", "/artifacts/none")
        assert answer.code == reason, answer.body


def test_a_repeat_after_a_lost_answer_passes_at_any_time(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    assert host.beat(nonce="n" * 16).status == 200
    for seconds in (0, 1, 60, 3600):
        clock.advance(seconds=seconds)
        assert host.repeat_beat(nonce="n" * 16).status == 200
    assert refusals_of(tenant, host.agent_id) == []


def test_another_nonce_or_a_lower_sequence_is_told_the_last_sequence(host: Host) -> None:
    for sequence in (10, 9, 1):
        host.sequence = sequence
        answer = host.repeat_beat(nonce="o" * 16)
        assert (answer.status, answer.code) == (409, "sequence_stale")
        assert answer.body["last_sequence"] == 10


@pytest.mark.parametrize(
    ("elapsed", "status", "wait"),
    [(0, 429, "15"), (0.001, 429, "15"), (14, 429, "1"), (14.999, 429, "1"), (15, 200, None)],
)
def test_too_soon_says_how_long_to_wait(
    tenant: Tenant, clock: FrozenClock, elapsed: float, status: int, wait: str | None
) -> None:
    host = tenant.enroll()
    assert host.beat().body["minimum_interval_seconds"] == 15
    clock.advance(seconds=elapsed)
    answer = host.beat()
    assert (answer.status, answer.headers.get("Retry-After")) == (status, wait)
    if status == 429:
        clock.advance(seconds=int(wait or 0))
        assert host.beat().status == 200


def test_a_new_process_is_no_way_round_the_limit(host: Host, clock: FrozenClock) -> None:
    host.beat()
    host.instance, host.sequence = "i" * 16, 0
    early = host.beat()
    assert (early.status, early.code, early.headers["Retry-After"]) == (
        429,
        "heartbeat_too_soon",
        "15",
    )
    clock.advance(seconds=15)
    assert host.beat().status == 200


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_of_a_steady_beat_is_no_failure(tenant: Tenant, host: Host, fault: Fault) -> None:
    with injected(fault, on="UpdateItem"), counted() as requests:
        assert host.beat().status == 200
    assert requests.writes == ["UpdateItem", "UpdateItem"]
    assert presence_of(tenant, host.agent_id).sequence == host.sequence
    assert refusals_of(tenant, host.agent_id) == []


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
@pytest.mark.parametrize("state", ["first", "offline", "restarted"])
def test_one_fault_of_a_beat_that_changes_the_status_is_no_failure(
    tenant: Tenant, host: Host, clock: FrozenClock, state: str, fault: Fault
) -> None:
    host = tenant.enroll() if state == "first" else host
    if state == "offline":
        set_presence(tenant, host.agent_id, _P.status.set("offline"))
    if state == "restarted":
        host.instance, host.sequence = "i" * 16, 0
    before = len(tenant.audit("agent", host.agent_id))
    with injected(fault, on="TransactWriteItems"):
        assert host.beat().status == 200
    assert len(tenant.audit("agent", host.agent_id)) == before + 1
    clock.advance(seconds=60)
    assert host.beat().status == 200
    assert refusals_of(tenant, host.agent_id) == []


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_a_lasting_fault_is_503_and_the_same_beat_passes_afterwards(
    host: Host, clock: FrozenClock, fault: Fault
) -> None:
    with injected(fault, on="UpdateItem", times=faults.ALWAYS):
        answer = host.beat(nonce="n" * 16)
    assert answer.status == 503, answer.body
    assert answer.code == ("contention" if fault is faults.CONFLICT else "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    clock.advance(seconds=int(answer.headers["Retry-After"]))
    assert host.repeat_beat(nonce="n" * 16).status == 200


def test_a_pending_key_replaces_the_old_one_at_its_first_use(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    outcome = runtime_key.read(runtime.current().keyring, host.key, clock.now)
    claims: Any = getattr(outcome, "claims", None)
    old, new = host.key, runtime_key.issue(runtime.current().keyring, claims)
    set_presence(tenant, host.agent_id, _P.pending_key.set(digest(new)))
    # Until then both work, and the old one changes nothing.
    assert host.beat().status == 200
    assert presence_of(tenant, host.agent_id).key == digest(old)
    clock.advance(seconds=60)
    host.key = new
    with counted() as requests:
        assert host.beat().status == 200
    assert requests.writes == ["UpdateItem"]
    clock.advance(seconds=60)
    host.key = old
    answer = host.beat()
    assert (answer.status, answer.code) == (401, "key_superseded")
    host.key = new
    assert host.beat().status == 200


def test_a_new_process_may_come_with_the_pending_key(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    outcome = runtime_key.read(runtime.current().keyring, host.key, clock.now)
    claims: Any = getattr(outcome, "claims", None)
    old, host.key = host.key, runtime_key.issue(runtime.current().keyring, claims)
    set_presence(tenant, host.agent_id, _P.pending_key.set(digest(host.key)))
    host.instance, host.sequence = "i" * 16, 0
    assert host.beat().status == 200
    host.key = old
    assert host.beat().code == "key_superseded"


def test_the_same_first_beat_twice_at_once_is_one_change(tenant: Tenant) -> None:
    host = tenant.enroll()
    host.sequence = 1
    with interleaved(lambda: host.repeat_beat(nonce="n" * 16), on="TransactWriteItems") as others:
        answer = host.repeat_beat(nonce="n" * 16)
    assert [others[0].status, answer.status] == [200, 200]
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    assert sorted(events) == ["agent.enrolled", "agent.online"]


def test_two_processes_that_start_at_once_are_told_apart(tenant: Tenant) -> None:
    host = tenant.enroll()
    clone = Host(host.api, host.agent_id, host.key, {})
    with interleaved(clone.beat, on="TransactWriteItems") as others:
        answer = host.beat()
    assert others[0].status == 200
    assert (answer.status, answer.code) == (429, "heartbeat_too_soon")
    assert presence_of(tenant, host.agent_id).instance == clone.instance


@pytest.mark.parametrize("change", ["revoke", "quarantine", "scope"])
def test_what_ends_the_agent_in_the_middle_of_its_first_beat_wins(
    tenant: Tenant, change: str
) -> None:
    host = tenant.enroll()

    def end() -> None:
        if change == "revoke":
            tenant.call("POST", f"/agents/{host.agent_id}/revoke")
        elif change == "quarantine":
            set_presence(tenant, host.agent_id, _P.status.set("quarantined"))
        else:
            set_presence(tenant, host.agent_id, _P.scopes.set({"agent:artifact_upload"}))

    with interleaved(end, on="TransactWriteItems"):
        answer = host.beat()
    codes = {
        "revoke": "key_revoked",
        "quarantine": "agent_quarantined",
        "scope": "scope_missing",
    }
    assert answer.code == codes[change], answer.body


@pytest.mark.parametrize(
    "said", [{"collector_id": f"col_{'0' * 20}"}, {"asset_id": f"ast_{'0' * 20}"}]
)
def test_a_revoked_agent_is_told_so_whatever_collector_it_names(
    tenant: Tenant, said: dict[str, str]
) -> None:
    host = tenant.enroll()
    assert host.beat().status == 200
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    refused = host.beat(**said)
    assert (refused.status, refused.code) == (401, "key_revoked")
