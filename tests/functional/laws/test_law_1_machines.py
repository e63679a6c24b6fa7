"""Law 1 beside machines: a re-imaged host takes its own place, and no live agent is evicted."""

import secrets
from typing import Any

import pytest

from chalicelib.store import machines
from chalicelib.store.agent_identities import AgentIdentityItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import CONFLICT, LOST, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import (
    agents_of,
    host_of,
    idempotency_key,
    names_of,
    presence_of,
    rows_of,
    uses_of,
)

REPLACED = "agent.replaced"


def machine_id() -> str:
    return f"{MARK}-{secrets.token_hex(16)}"


def replacing(tenant: Tenant, **more: Any) -> dict[str, Any]:
    return tenant.mint(replace_machine=True, **more)


def former_of(tenant: Tenant, machine: str, **said: Any) -> Host:
    host = tenant.enroll(machine_id=machine, **said)
    assert host.beat().status == 200
    return host


def shown(tenant: Tenant, agent_id: str) -> dict[str, Any]:
    answer = tenant.call("GET", f"/agents/{agent_id}")
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    return answer.body


def events(tenant: Tenant, agent_id: str) -> list[str]:
    return [record["event"] for record in tenant.audit("agent", agent_id)]


def living_on_machines(tenant: Tenant) -> list[set[str]]:
    rows = rows_of(tenant, "agent_identities")
    return [
        {one.partition("@")[0] for one in row["agents"]["SS"]} for row in rows if "agents" in row
    ]


def is_second(tenant: Tenant, former: Host, answer: Answer) -> None:
    """The host was enrolled beside the former agent, and both say so."""
    assert answer.status == 201, answer.body
    fresh = answer.body["agent_id"]
    assert shown(tenant, former.agent_id)["revoked_at"] is None
    assert shown(tenant, former.agent_id)["same_machine"] == [fresh]
    assert shown(tenant, fresh)["same_machine"] == [former.agent_id]
    listed = tenant.call("GET", "/agents").body["agents"]
    assert all(agent["same_machine"] for agent in listed)
    assert REPLACED not in events(tenant, former.agent_id)


def is_replaced(tenant: Tenant, former: Host, answer: Answer) -> None:
    """The former agent ended in favour of the fresh one, with evidence on both sides."""
    assert answer.status == 201, answer.body
    fresh = answer.body["agent_id"]
    seen = shown(tenant, former.agent_id)
    assert (seen["status"], seen["replaced_by"], seen["same_machine"]) == ("revoked", fresh, [])
    assert shown(tenant, fresh)["same_machine"] == []
    assert living_on_machines(tenant) == [{fresh}]
    (last,) = (one for one in tenant.audit("agent", former.agent_id) if one["event"] == REPLACED)
    assert (last["detail"]["agent_id"], last["detail"]["former_agent_id"]) == (
        fresh,
        former.agent_id,
    )
    (enrolled,) = tenant.audit("agent", fresh)
    assert enrolled["detail"]["former_agent_id"] == former.agent_id
    beat = former.beat()
    assert (beat.status, beat.code) == (401, "key_revoked")


def test_a_silent_former_identity_is_replaced_in_the_one_transaction_of_the_exchange(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    token = replacing(tenant)
    with counted() as requests:
        answer = tenant.exchange(token["token"], machine_id=machine)
    assert requests.operations == [
        "BatchGetItem", "GetItem",  # token, environment
        "GetItem", "BatchGetItem",  # the machine, and who lives there
        "TransactWriteItems",
    ]  # fmt: skip
    assert not any(sent.eventually_consistent for sent in requests.sent)
    # The name changed hands: the row was touched once.
    assert answer.body["name"] == former.enrollment["name"]
    assert names_of(tenant) == [former.enrollment["name"]]
    is_replaced(tenant, former, answer)
    assert uses_of(tenant, token) == 1


def test_the_name_of_a_former_identity_that_is_not_taken_over_is_free(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine, name="old")
    clock.advance(seconds=7_201)
    answer = tenant.exchange(replacing(tenant)["token"], machine_id=machine, name="new")
    is_replaced(tenant, former, answer)
    assert names_of(tenant) == ["new"]


def test_an_agent_that_never_beat_is_replaced_as_long_after_its_enrollment(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = tenant.enroll(machine_id=machine)
    clock.advance(seconds=1_799)
    token = replacing(tenant, replace_offline_seconds=1_800, max_uses=2)
    is_second(tenant, former, tenant.exchange(token["token"], machine_id=machine))
    other = machine_id()
    former = tenant.enroll(machine_id=other, hostname="host-2")
    clock.advance(seconds=1_801)
    answer = tenant.exchange(token["token"], machine_id=other, hostname="host-2")
    assert shown(tenant, former.agent_id)["replaced_by"] == answer.body["agent_id"]


@pytest.mark.parametrize(
    ("minted", "silent"),
    [
        ({}, 86_400),  # whoever copied a machine id holds a token that says nothing of it
        ({"replace_machine": False, "replace_offline_seconds": 1_800}, 86_400),
        ({"replace_machine": True}, 7_200),  # not yet longer
        ({"replace_machine": True, "replace_offline_seconds": 1_800}, 100),  # late
        ({"replace_machine": True, "replace_offline_seconds": 1_800}, 0),
    ],
)
def test_a_live_agent_or_one_that_the_token_does_not_give_up_stays(
    tenant: Tenant, clock: FrozenClock, minted: dict[str, Any], silent: int
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=silent)
    token = tenant.mint(**minted)
    is_second(tenant, former, tenant.exchange(token["token"], machine_id=machine))
    assert former.beat().status in {200, 429}


def test_another_machine_and_no_machine_replace_nothing(tenant: Tenant, clock: FrozenClock) -> None:
    former = former_of(tenant, machine_id())
    clock.advance(days=3)
    for said in ({"machine_id": machine_id()}, {}):
        assert tenant.exchange(replacing(tenant)["token"], **said).status == 201
    assert shown(tenant, former.agent_id)["status"] == "offline"


def test_a_quarantined_agent_is_an_operators_to_end(tenant: Tenant, clock: FrozenClock) -> None:
    from chalicelib.store.agent_presence import AgentPresenceItem
    from tests.functional.laws.stories import set_presence

    machine = machine_id()
    former = former_of(tenant, machine)
    set_presence(tenant, former.agent_id, AgentPresenceItem.status.set("quarantined"))
    clock.advance(days=3)
    is_second(tenant, former, tenant.exchange(replacing(tenant)["token"], machine_id=machine))


def test_of_two_former_identities_none_is_taken_for_the_host(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    formers = [former_of(tenant, machine), former_of(tenant, machine)]
    clock.advance(days=3)
    assert tenant.exchange(replacing(tenant)["token"], machine_id=machine).status == 201
    assert {shown(tenant, one.agent_id)["status"] for one in formers} == {"offline"}


def test_an_agent_of_another_environment_stays_and_is_told(
    tenant: Tenant, clock: FrozenClock
) -> None:
    made = tenant.call("POST", "/environments", {"project": tenant.project, "name": "two"})
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(days=3)
    token = replacing(tenant, environment=made.body["environment_id"])
    is_second(tenant, former, tenant.exchange(token["token"], machine_id=machine))
    # And beside it, one of the same environment is found.
    again = tenant.exchange(replacing(tenant)["token"], machine_id=machine)
    assert shown(tenant, former.agent_id)["replaced_by"] == again.body["agent_id"]
    assert len(shown(tenant, again.body["agent_id"])["same_machine"]) == 1


def test_a_machine_of_another_tenant_is_another_machine(
    tenant: Tenant, other_tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(days=3)
    answer = other_tenant.exchange(replacing(other_tenant)["token"], machine_id=machine)
    assert shown(other_tenant, answer.body["agent_id"])["same_machine"] == []
    assert shown(tenant, former.agent_id)["status"] == "offline"


def test_a_former_agent_that_beats_during_the_exchange_stays(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    token = replacing(tenant)
    with interleaved(former.beat, on="TransactWriteItems") as beats:
        answer = tenant.exchange(token["token"], machine_id=machine)
    assert [beat.status for beat in beats] == [200]
    is_second(tenant, former, answer)
    assert answer.body["name"] != former.enrollment["name"]
    assert uses_of(tenant, token) == 1
    clock.advance(seconds=60)
    assert former.beat().status == 200


def test_a_first_beat_during_the_exchange_keeps_the_agent(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = tenant.enroll(machine_id=machine)
    clock.advance(seconds=7_201)
    with interleaved(former.beat, on="TransactWriteItems") as beats:
        answer = tenant.exchange(replacing(tenant)["token"], machine_id=machine)
    assert [beat.status for beat in beats] == [200]
    is_second(tenant, former, answer)


def test_a_beat_that_comes_second_finds_the_key_revoked(tenant: Tenant, clock: FrozenClock) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    token = replacing(tenant)
    with interleaved(
        lambda: tenant.exchange(token["token"], machine_id=machine), on="UpdateItem"
    ) as answers:
        beat = former.beat()
    assert (beat.status, beat.code) == (401, "key_revoked")
    is_replaced(tenant, former, answers[0])


def test_a_rename_of_the_former_agent_at_that_moment_leaves_no_name_behind(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    path, token = f"/agents/{former.agent_id}", replacing(tenant)
    with interleaved(
        lambda: tenant.call("PATCH", path, {"name": "renamed"}), on="TransactWriteItems"
    ) as renamed:
        answer = tenant.exchange(token["token"], machine_id=machine)
    assert renamed[0].status == 200
    is_replaced(tenant, former, answer)
    assert names_of(tenant) == [answer.body["name"]] == ["host-1.example"]


def test_of_two_exchanges_at_once_one_replaces(tenant: Tenant, clock: FrozenClock) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    first, second = replacing(tenant), replacing(tenant)
    with interleaved(
        lambda: tenant.exchange(first["token"], machine_id=machine), on="TransactWriteItems"
    ) as answers:
        late = tenant.exchange(second["token"], machine_id=machine)
    assert (answers[0].status, late.status) == (201, 201)
    early = answers[0].body["agent_id"]
    assert shown(tenant, former.agent_id)["replaced_by"] == early
    assert shown(tenant, early)["same_machine"] == [late.body["agent_id"]]
    assert len(agents_of(tenant)) == 3


def test_a_replay_gives_the_same_agent_and_replaces_nothing_twice(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine, key = machine_id(), idempotency_key()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    token = replacing(tenant)
    first = tenant.exchange(token["token"], machine_id=machine, idempotency_key=key)
    clock.advance(seconds=7_300)
    again = tenant.exchange(token["token"], machine_id=machine, idempotency_key=key)
    assert (again.status, again.body["replayed"]) == (200, True)
    assert again.body["agent_id"] == first.body["agent_id"]
    assert events(tenant, former.agent_id).count(REPLACED) == 1
    assert len(agents_of(tenant)) == 2
    assert uses_of(tenant, token) == 1
    assert host_of(tenant.api, again).beat().status == 200


@pytest.mark.parametrize("fault", [LOST, CONFLICT], ids=str)
def test_a_lost_answer_or_a_conflict_leaves_one_agent_and_one_end(
    tenant: Tenant, clock: FrozenClock, fault: Any
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    token = replacing(tenant)
    with injected(fault, on="TransactWriteItems") as meeting:
        answer = tenant.exchange(token["token"], machine_id=machine)
    assert meeting.seen >= 2
    is_replaced(tenant, former, answer)
    assert uses_of(tenant, token) == 1


def test_a_machine_with_too_many_agents_enrolls_and_its_list_stays_bounded(
    tenant: Tenant,
) -> None:
    machine = machine_id()
    token = tenant.mint(max_uses=machines.MOST_AGENTS + 1)
    for number in range(machines.MOST_AGENTS):
        said = {"hostname": f"host-{number}", "machine_id": machine}
        assert tenant.exchange(token["token"], **said).status == 201
    last = tenant.exchange(token["token"], hostname="last", machine_id=machine)
    assert last.status == 201
    assert len(living_on_machines(tenant)[0]) == machines.MOST_AGENTS
    # It is no member, and its operators still learn of all the others.
    assert len(shown(tenant, last.body["agent_id"])["same_machine"]) == machines.MOST_AGENTS
    revoked = tenant.call("POST", f"/agents/{last.body['agent_id']}/revoke", {})
    assert revoked.status == 200


def test_an_exchange_with_a_machine_id_costs_one_item_more(tenant: Tenant) -> None:
    token = tenant.mint()
    with counted() as requests:
        assert tenant.exchange(token["token"], machine_id=machine_id()).status == 201
    assert requests.operations == ["BatchGetItem", "GetItem", "TransactWriteItems"]
    assert len(requests.transactions[0].parts) == 6


def test_nothing_that_is_stored_of_a_machine_is_its_identifier(
    tenant: Tenant, clock: FrozenClock
) -> None:
    machine = machine_id()
    former = former_of(tenant, machine)
    clock.advance(seconds=7_201)
    is_replaced(tenant, former, tenant.exchange(replacing(tenant)["token"], machine_id=machine))
    row = AgentIdentityItem.get(f"{tenant.organization}#{former.agent_id}")
    fingerprint = bytes(row.machine_fingerprint).hex()
    for record in rows_of(tenant, "audit_records"):
        assert machine not in str(record)
        assert fingerprint not in str(record)
    for rows in (rows_of(tenant, "agent_identities"), rows_of(tenant, "agent_presence")):
        assert machine not in str(rows)
    assert presence_of(tenant, former.agent_id).status == "revoked"
