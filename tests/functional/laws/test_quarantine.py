"""Quarantine by an operator, and what an operator decides about copies."""

from typing import Any

import pytest

from chalicelib import workers
from chalicelib.store import instances
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, copy_of, noticed, status_of
from tests.functional.laws.faults import OF_A_WRITE, Fault, injected, interleaved
from tests.functional.laws.stories import host_of, idempotency_key, presence_of, set_presence


@pytest.fixture
def host(tenant: Tenant, clock: FrozenClock) -> Host:
    """A host that beats."""
    host = tenant.enroll()
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    return host


def quarantine(tenant: Tenant, host: Host, **said: Any) -> Answer:
    return tenant.call("POST", f"/agents/{host.agent_id}/quarantine", said or None)


def release(tenant: Tenant, host: Host, decision: str = "keep", **said: Any) -> Answer:
    path = f"/agents/{host.agent_id}/release"
    return tenant.call("POST", path, {"decision": decision, **said})


def named(host: Host) -> str:
    """How operators see the host's process."""
    return instances.fingerprint(host.instance).hex()


def events(tenant: Tenant, host: Host) -> list[str]:
    return [one["event"] for one in tenant.audit("agent", host.agent_id)]


def test_a_quarantined_agent_is_refused_until_it_is_released(tenant: Tenant, host: Host) -> None:
    shown = quarantine(tenant, host, note="a look at the disk")
    assert (shown.status, shown.body["status"]) == (200, "quarantined")
    assert shown.body["quarantine"]["note"] == "a look at the disk"
    assert shown.body["quarantine"]["reason"] == "operator"
    assert shown.body["quarantine"]["copies"] == []
    assert host.beat().code == "agent_quarantined"
    shown = release(tenant, host, note="all is well")
    assert (shown.status, shown.body["status"]) == (200, "online")
    assert shown.body["quarantine"] is None
    assert host.beat().status == 200
    assert status_of(tenant, host) == "online"
    records = {one["event"]: one["detail"] for one in tenant.audit("agent", host.agent_id)}
    assert records["agent.quarantined"]["reason"] == "operator"
    assert records["agent.released"] == {
        "agent_id": host.agent_id, "decision": "keep", "instance": None, "note": "all is well",
    }  # fmt: skip


def test_an_agent_that_never_beat_is_enrolled_again_after_its_release(tenant: Tenant) -> None:
    token = tenant.mint()["token"]
    key = idempotency_key()
    host = host_of(tenant.api, tenant.exchange(token, idempotency_key=key))
    quarantine(tenant, host)
    assert host.beat().code == "agent_quarantined"
    refused = tenant.exchange(token, idempotency_key=key)
    assert (refused.status, refused.code) == (403, "agent_quarantined")
    assert release(tenant, host).body["status"] == "enrolled"
    replayed = tenant.exchange(token, idempotency_key=key)
    assert replayed.status == 200
    assert host_of(tenant.api, replayed).beat().status == 200


def test_both_are_as_good_twice_as_once(tenant: Tenant, host: Host) -> None:
    for _ in range(2):
        assert quarantine(tenant, host).status == 200
    for _ in range(2):
        assert release(tenant, host).status == 200
    told = events(tenant, host)
    assert (told.count("agent.quarantined"), told.count("agent.released")) == (1, 1)


def test_what_is_not_quarantined_cannot_be_released(tenant: Tenant, host: Host) -> None:
    answer = release(tenant, host)
    assert (answer.status, answer.code) == (409, "not_quarantined")
    quarantine(tenant, host)
    assert release(tenant, host).status == 200
    # The same again is a repetition; another decision is not.
    assert release(tenant, host, "split").code == "not_quarantined"


def test_a_revoked_agent_stays_revoked(tenant: Tenant, host: Host) -> None:
    quarantine(tenant, host)
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    for answer in (quarantine(tenant, host), release(tenant, host)):
        assert (answer.status, answer.code) == (409, "agent_revoked")
    assert host.beat().code == "key_revoked"


def test_a_foreign_agent_is_not_there(tenant: Tenant, other_tenant: Tenant, host: Host) -> None:
    for answer in (quarantine(other_tenant, host), release(other_tenant, host)):
        assert (answer.status, answer.code) == (404, "agent_not_found")
    assert status_of(tenant, host) == "online"


@pytest.mark.parametrize("fault", OF_A_WRITE, ids=str)
@pytest.mark.parametrize("step", ["quarantine", "release"])
def test_one_fault_is_no_failure_and_one_change(
    tenant: Tenant, host: Host, step: str, fault: Fault
) -> None:
    if step == "release":
        quarantine(tenant, host)
    with injected(fault, on="TransactWriteItems"):
        answer = (quarantine if step == "quarantine" else release)(tenant, host)
    assert answer.status == 200, answer.body
    assert answer.body["status"] == ("quarantined" if step == "quarantine" else "online")
    assert sum(one in {"agent.quarantined", "agent.released"} for one in events(tenant, host)) == (
        1 if step == "quarantine" else 2
    )


def test_a_beat_in_the_middle_of_a_quarantine_does_not_undo_it(tenant: Tenant, host: Host) -> None:
    with interleaved(host.beat, on="TransactWriteItems") as others:
        assert quarantine(tenant, host).body["status"] == "quarantined"
    assert others[0].status == 200
    assert host.beat().code == "agent_quarantined"


def test_a_revoke_in_the_middle_of_a_release_wins(tenant: Tenant, host: Host) -> None:
    quarantine(tenant, host)
    end = f"/agents/{host.agent_id}/revoke"
    with interleaved(lambda: tenant.call("POST", end), on="TransactWriteItems"):
        answer = release(tenant, host)
    assert (answer.status, answer.code) == (409, "agent_revoked")
    assert status_of(tenant, host) == "revoked"


def test_the_window_of_an_agent_that_was_heard_stays_closed(tenant: Tenant) -> None:
    token = tenant.mint()["token"]
    key = idempotency_key()
    host = host_of(tenant.api, tenant.exchange(token, idempotency_key=key))
    assert host.beat().status == 200
    quarantine(tenant, host)
    assert tenant.exchange(token, idempotency_key=key).code == "replay_window_closed"


@pytest.mark.parametrize("decision", ["keep", "split"])
def test_a_release_notes_its_time(
    tenant: Tenant, host: Host, clock: FrozenClock, decision: str
) -> None:
    noticed(tenant, host, clock)
    assert presence_of(tenant, host.agent_id).released_at is None
    release(tenant, host, decision)
    assert presence_of(tenant, host.agent_id).released_at == clock.now


def shown(tenant: Tenant, host: Host) -> str:
    return str(tenant.call("GET", f"/agents/{host.agent_id}").body["status"])


@pytest.mark.parametrize(
    ("before", "during", "status"),
    [
        (60, 0, "online"),
        (90, 0, "online"),
        (91, 0, "late"),
        (179, 0, "late"),
        (60, 100, "late"),
        (100, 86_400, "late"),
        (180, 0, "offline"),
        (180, 60, "offline"),
    ],
)
def test_a_released_agent_is_what_it_was_and_has_three_intervals_to_say_so(
    tenant: Tenant, host: Host, clock: FrozenClock, before: int, during: int, status: str
) -> None:
    """Of its beats while it was quarantined there is no mark, so silence begins with the end."""
    clock.advance(seconds=before - INTERVAL)
    quarantine(tenant, host)
    clock.advance(seconds=during)
    assert release(tenant, host).body["status"] == status
    clock.advance(seconds=179)
    assert shown(tenant, host) == ("offline" if status == "offline" else "late")
    clock.advance(seconds=1)
    assert shown(tenant, host) == "offline"
    assert host.beat().status == 200
    assert shown(tenant, host) == "online"


def test_a_released_agent_that_stays_silent_is_swept(
    swept: FrozenClock, tenant: Tenant, host: Host
) -> None:
    assert host.beat().status == 200
    quarantine(tenant, host)
    swept.advance(seconds=3600)
    workers.sweep(None)
    release(tenant, host)
    workers.sweep(None)
    assert "agent.offline" not in events(tenant, host)
    swept.advance(seconds=600)
    workers.sweep(None)
    assert events(tenant, host).count("agent.offline") == 1


def test_an_agent_that_was_quarantined_offline_is_offline_afterwards(
    swept: FrozenClock, tenant: Tenant, host: Host
) -> None:
    assert host.beat().status == 200
    swept.advance(seconds=3600)
    workers.sweep(None)
    quarantine(tenant, host)
    assert release(tenant, host).body["status"] == "offline"
    assert presence_of(tenant, host.agent_id).due is None


@pytest.mark.parametrize(("goes", "status"), [("present", "offline"), ("returned", "late")])
def test_after_a_split_only_the_copy_that_was_accepted_last_is_not_offline(
    tenant: Tenant, host: Host, clock: FrozenClock, goes: str, status: str
) -> None:
    other = noticed(tenant, host, clock)
    copy = named(other if goes == "present" else host)
    assert release(tenant, host, "split", instance=copy).body["status"] == status
    stays = host if goes == "present" else other
    assert stays.beat().status == 200
    assert shown(tenant, host) == "online"


# ---------------------------------------------------------------------------- copies


def test_keep_lets_whichever_copy_is_left_go_on(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    for left in (0, 1):
        copies = [host, noticed(tenant, host, clock)]
        assert release(tenant, host).body["status"] == "late"
        for _ in range(4):
            assert copies[left].beat().status == 200
            clock.advance(seconds=INTERVAL)
        host = copies[left]


def test_keep_with_both_copies_still_there_is_noticed_again(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    release(tenant, host)
    codes = []
    for one in (host, other, host, other):
        codes.append(one.beat().status)
        clock.advance(seconds=INTERVAL)
    assert codes[0] == 200
    assert codes[-1] == 403


@pytest.mark.parametrize("chosen", ["default", "newer", "older"])
def test_split_sends_the_chosen_copy_away_and_the_other_goes_on(
    tenant: Tenant, host: Host, clock: FrozenClock, chosen: str
) -> None:
    newer = noticed(tenant, host, clock)
    away, stays = (host, newer) if chosen == "older" else (newer, host)
    said = {} if chosen == "default" else {"instance": named(away)}
    assert release(tenant, host, "split", **said).status == 200
    for _ in range(3):
        answer = away.beat()
        assert (answer.status, answer.code) == (409, "agent_split")
        assert stays.beat().status == 200
        clock.advance(seconds=INTERVAL)
    released = tenant.audit("agent", host.agent_id)
    (detail,) = (one["detail"] for one in released if one["event"] == "agent.released")
    assert detail["instance"] == named(away)


def test_only_a_copy_that_was_noticed_can_be_split_off(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    quarantine(tenant, host)
    answer = release(tenant, host, "split")
    assert (answer.status, answer.code) == (409, "not_a_clone")
    release(tenant, host)
    noticed(tenant, host, clock)
    answer = release(tenant, host, "split", instance="0" * 16)
    assert (answer.status, answer.code) == (409, "copy_unknown")
    answer = release(tenant, host, "keep", instance=named(host))
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert status_of(tenant, host) == "quarantined"


def test_a_revoked_token_admits_no_copy(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    noticed(tenant, host, clock)
    token = tenant.call("GET", f"/agents/{host.agent_id}").body["enrollment_token_id"]
    tenant.call("POST", f"/agent-enrollment/tokens/{token}/revoke")
    answer = release(tenant, host, "split")
    assert (answer.status, answer.code) == (409, "token_revoked")
    assert release(tenant, host).status == 200


def test_a_decision_is_forgotten_with_the_next_quarantine(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    release(tenant, host, "split")
    quarantine(tenant, host)
    release(tenant, host)
    assert presence_of(tenant, host.agent_id).split is None
    assert other.beat().status == 200
    assert copy_of(host).beat().status == 429


def test_an_agent_is_told_whether_an_operator_stopped_it_or_a_copy_was_seen(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    quarantine(tenant, host, note="not for the agent's eyes")
    refusals = [
        host.beat(),
        host.call("GET", "/artifacts/art_" + "0" * 20),
        host.call("POST", "/decommission"),
    ]
    for refused in refusals:
        assert refused.body["quarantine_reason"] == "operator"
        assert refused.body["detail"] == "An operator has quarantined this agent."
        assert "not for" not in str(refused.body)
    release(tenant, host)
    assert presence_of(tenant, host.agent_id).quarantine_reason is None
    clock.advance(seconds=INTERVAL)
    noticed(tenant, host, clock)
    refused = host.beat()
    assert refused.body["quarantine_reason"] == "clone"
    assert "Two copies" in refused.body["detail"]


def test_a_quarantine_of_before_the_reason_was_kept_has_none(tenant: Tenant, host: Host) -> None:
    quarantine(tenant, host)
    set_presence(tenant, host.agent_id, AgentPresenceItem.quarantine_reason.remove())
    refused = host.beat()
    assert (refused.code, "quarantine_reason" in refused.body) == ("agent_quarantined", False)
