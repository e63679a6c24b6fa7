"""After a split: the copy keeps its way out, and does not act for the agent that stays."""

from typing import Any

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, copy_of, noticed, status_of
from tests.functional.laws.faults import interleaved
from tests.functional.laws.stories import agents_of, host_of, idempotency_key, presence_of

KEY = idempotency_key()
FACTS = {"facts_sha256": "e" * 64, "facts": {"hostname": "copy.example"}}
ACTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "rotate": ("POST", "/runtime-key/rotate", {}),
    "decommission": ("POST", "/decommission", {}),
    "facts": ("PUT", "/facts", FACTS),
}


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """The host that stays."""
    return tenant.enroll()


@pytest.fixture
def other(tenant: Tenant, host: Host, clock: FrozenClock) -> Host:
    """Its copy, which is to go; the host that stays was heard since."""
    other = noticed(tenant, host, clock)
    release(tenant, host)
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    return other


def release(tenant: Tenant, host: Host) -> None:
    answer = tenant.call("POST", f"/agents/{host.agent_id}/release", {"decision": "split"})
    assert answer.status == 200, answer.body


def split(host: Host, key: str = KEY) -> Answer:
    return host.call(
        "POST", "/split", {"instance": host.instance}, headers={"Idempotency-Key": key}
    )


def act(host: Host, name: str, **said: Any) -> Answer:
    method, path, body = ACTS[name]
    return host.call(method, path, {**body, **said})


def rotated(host: Host, clock: FrozenClock) -> None:
    """The host takes a new key, and uses it."""
    answer = act(host, "rotate", instance=host.instance)
    assert answer.status == 201, answer.body
    host.key = answer.body["runtime_key"]
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)


# ------------------------------------------------------------------- the copy's way out


@pytest.mark.parametrize("times", [1, 3])
def test_a_rotation_of_the_kept_agent_leaves_the_copy_its_way(
    tenant: Tenant, host: Host, other: Host, clock: FrozenClock, times: int
) -> None:
    for _ in range(times):
        rotated(host, clock)
    answer = other.beat()
    assert (answer.status, answer.code) == (409, "agent_split")
    fresh = host_of(tenant.api, split(other))
    assert fresh.beat().status == 200
    assert host.beat().status == 200
    assert len(agents_of(tenant)) == 2


def test_a_pending_key_is_as_good_for_that_as_the_agents_own(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    pending = act(other, "rotate")
    assert pending.status == 201
    release(tenant, host)
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    rotated(host, clock)
    old_key, other.key = other.key, pending.body["runtime_key"]
    assert other.beat().code == "agent_split"
    assert split(other).status == 201
    # The receipt knows the key that was shown.
    other.key = old_key
    assert split(other).code == "not_split"


def test_the_key_from_before_opens_nothing_else(
    host: Host, other: Host, clock: FrozenClock
) -> None:
    rotated(host, clock)
    for name in ACTS:
        for instance in (other.instance, host.instance):
            assert act(other, name, instance=instance).code == "key_superseded"
    third = copy_of(other)
    assert third.beat().code == "key_superseded"
    assert split(third).code == "key_superseded"


def test_a_key_from_after_the_decision_is_not_the_copys(
    host: Host, other: Host, clock: FrozenClock
) -> None:
    rotated(host, clock)
    other.key = host.key
    rotated(host, clock)
    assert other.beat().code == "key_superseded"
    assert split(other).code == "key_superseded"


@pytest.mark.parametrize("end", ["rotation", "revoke", "decommission", "quarantine"])
def test_a_lost_answer_is_asked_for_again_whatever_became_of_the_kept_agent(
    tenant: Tenant, host: Host, other: Host, clock: FrozenClock, end: str
) -> None:
    first = host_of(tenant.api, split(other))
    if end == "rotation":
        rotated(host, clock)
    else:
        assert tenant.call("POST", f"/agents/{host.agent_id}/{end}").status == 200
    answer = split(other)
    assert (answer.status, answer.body["agent_id"]) == (200, first.agent_id)
    assert host_of(tenant.api, answer).beat().status == 200


def test_of_an_agent_that_was_revoked_nothing_is_taken(
    tenant: Tenant, host: Host, other: Host
) -> None:
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    answer = split(other)
    assert (answer.status, answer.code) == (401, "key_revoked")
    assert len(agents_of(tenant)) == 1


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [("revoke", 409, "not_split"), ("quarantine", 403, "agent_quarantined")],
)
def test_what_ends_the_new_agent_ends_the_repetition(
    tenant: Tenant, other: Host, end: str, status: int, code: str
) -> None:
    fresh = host_of(tenant.api, split(other))
    tenant.call("POST", f"/agents/{fresh.agent_id}/{end}")
    answer = split(other)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(("hours", "status"), [(24, 200), (24.001, 409)])
def test_a_repetition_is_answered_for_a_day(
    other: Host, clock: FrozenClock, hours: float, status: int
) -> None:
    assert split(other).status == 201
    clock.advance(hours=hours)
    answer = split(other)
    assert (answer.status, answer.code) == (status, None if status == 200 else "not_split")


# ------------------------------------------------------------------- acting for the other


@pytest.mark.parametrize("name", ACTS)
def test_the_copy_that_is_to_go_does_not_act_for_the_kept_agent(
    tenant: Tenant, host: Host, other: Host, name: str
) -> None:
    before = presence_of(tenant, host.agent_id).attribute_values
    for said in ({"instance": other.instance}, {}):
        answer = act(other, name, **said)
        assert (answer.status, answer.code) == (409, "agent_split")
    assert presence_of(tenant, host.agent_id).attribute_values == before
    assert host.beat().status == 200
    answer = act(host, name, instance=host.instance)
    assert answer.status == (201 if name == "rotate" else 200), answer.body


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("says_so", [True, False])
def test_without_a_split_nobody_has_to_say_which_process_it_is(
    host: Host, name: str, says_so: bool
) -> None:
    assert host.beat().status == 200
    said = {"instance": host.instance} if says_so else {}
    assert act(host, name, **said).status in {200, 201}


@pytest.mark.parametrize("name", ACTS)
def test_a_decision_in_the_middle_wins(
    tenant: Tenant, host: Host, clock: FrozenClock, name: str
) -> None:
    """Once released, the row has the status from before: the decision alone is another."""
    other = copy_of(host)
    for one in (host, other):
        assert one.beat().status == 200
        clock.advance(seconds=INTERVAL)

    def decide() -> Answer:
        assert host.beat().code == "agent_quarantined"
        release(tenant, host)
        return host.beat()

    with interleaved(decide, on="TransactWriteItems") as answers:
        answer = act(other, name, instance=other.instance)
    assert answers[0].status == 200
    assert (answer.status, answer.code) == (409, "agent_split")
    assert status_of(tenant, host) == "online"


def test_an_operator_is_no_process(tenant: Tenant, host: Host) -> None:
    path = f"/agents/{host.agent_id}/decommission"
    answer = tenant.call("POST", path, {"instance": host.instance})
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert status_of(tenant, host) == "enrolled"
