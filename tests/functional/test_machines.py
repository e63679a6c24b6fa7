"""Several agents of one machine: said in every list; put right, and ended, by operators."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.laws.faults import LOST, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import names_of, rows_of

MACHINE = f"{MARK}-machine"


def shown(tenant: Tenant, host: Host) -> dict[str, Any]:
    answer = tenant.call("GET", f"/agents/{host.agent_id}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def pair(tenant: Tenant) -> tuple[Host, Host]:
    """A former agent with name and labels, and the fresh one of the same machine."""
    former = tenant.enroll(machine_id=MACHINE, name="db-1", labels={"rack": "7"})
    fresh = tenant.enroll(machine_id=MACHINE, name="host-1", labels={"site": "x"})
    assert (former.beat().status, fresh.beat().status) == (200, 200)
    return former, fresh


def replace(tenant: Tenant, fresh: Host, former: str, **more: Any) -> Answer:
    return tenant.call("POST", f"/agents/{fresh.agent_id}/replace", {"former": former, **more})


def evidence(tenant: Tenant, host: Host, event: str) -> dict[str, Any]:
    (record,) = (one for one in tenant.audit("agent", host.agent_id) if one["event"] == event)
    return record


# ------------------------------------------------------------------------- same_machine


def test_two_live_agents_of_one_machine_are_told_in_every_view(tenant: Tenant) -> None:
    former, fresh = pair(tenant)
    tenant.enroll(machine_id=f"{MARK}-other", name="alone")
    tenant.enroll(name="none")
    listed = {one["agent_id"]: one for one in tenant.call("GET", "/agents").body["agents"]}
    assert {name: one["same_machine"] for name, one in listed.items() if one["same_machine"]} == {
        former.agent_id: [fresh.agent_id],
        fresh.agent_id: [former.agent_id],
    }
    for host in (former, fresh):
        assert shown(tenant, host)["same_machine"] == listed[host.agent_id]["same_machine"]


def test_a_page_is_told_by_one_request_more_and_only_where_machines_are_known(
    tenant: Tenant,
) -> None:
    tenant.enroll(name="none")

    def batches() -> int:
        with counted() as requests:
            assert tenant.call("GET", "/agents?limit=100").status == 200
        assert not any(
            sent.eventually_consistent for sent in requests.sent if sent.operation != "Query"
        )
        return requests.operations.count("BatchGetItem")

    without = batches()
    for number in range(5):
        tenant.enroll(machine_id=f"{MARK}-{number % 2}", name=f"host-{number}")
    assert batches() == without + 1


def test_agents_that_ended_are_told_no_more(tenant: Tenant) -> None:
    former, fresh = pair(tenant)
    assert tenant.call("POST", f"/agents/{former.agent_id}/revoke", {}).status == 200
    assert shown(tenant, former)["same_machine"] == []
    assert shown(tenant, fresh)["same_machine"] == []


def test_agents_of_one_machine_end_together_in_one_transaction(tenant: Tenant) -> None:
    from chalicelib import runtime
    from chalicelib.evidence.record import Origin
    from chalicelib.flows import end_agents, revoke_agent

    hosts = [tenant.enroll(machine_id=MACHINE, name=f"host-{n}") for n in range(9)]
    other = tenant.enroll(machine_id=f"{MARK}-other", name="other")
    rows = list(end_agents.read(tenant.organization, [h.agent_id for h in (*hosts[1:], other)]))
    origin = Origin(tenant.organization, "system", "test", "r", None, tenant.api.clock.now)
    with counted() as requests:
        revoke_agent.revoke_together(runtime.current().patience, origin, rows, None, None)
    assert requests.operations == ["TransactWriteItems"]
    assert len(requests.transactions[0].parts) == 9 * 5 + 2
    living = [row for row in rows_of(tenant, "agent_identities") if "agents" in row]
    left = f"{hosts[0].agent_id}@{tenant.environment}@{tenant.project}"
    assert [row["agents"]["SS"] for row in living] == [[left]]


# ------------------------------------------------------------------- an operator confirms


def test_a_confirmed_replacement_ends_the_former_and_gives_name_and_labels(
    tenant: Tenant,
) -> None:
    former, fresh = pair(tenant)
    with counted() as requests:
        answer = replace(tenant, fresh, former.agent_id, note="new disk")
    assert answer.status == 200, answer.body
    assert len(requests.transactions) == 1
    assert (answer.body["name"], answer.body["labels"]) == ("db-1", {"rack": "7"})
    assert (answer.body["status"], answer.body["same_machine"]) == ("online", [])
    ended = shown(tenant, former)
    assert (ended["status"], ended["replaced_by"]) == ("revoked", fresh.agent_id)
    assert names_of(tenant) == ["db-1"]
    refused = former.beat()
    assert (refused.status, refused.code) == (401, "key_revoked")
    last = evidence(tenant, former, "agent.replaced")
    assert last["actor"]["type"] == "organization_key"
    assert last["detail"] == {
        "agent_id": fresh.agent_id,
        "former_agent_id": former.agent_id,
        "former_name": "db-1",
        "reason": "operator",
        "token_id": None,
        "note": "new disk",
    }


@pytest.mark.parametrize("lost", [False, True])
def test_a_confirmation_that_is_repeated_changes_nothing(tenant: Tenant, lost: bool) -> None:
    former, fresh = pair(tenant)
    if lost:
        with injected(LOST, on="TransactWriteItems"):
            first = replace(tenant, fresh, former.agent_id)
    else:
        first = replace(tenant, fresh, former.agent_id)
    again = replace(tenant, fresh, former.agent_id)
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    events = [record["event"] for record in tenant.audit("agent", former.agent_id)]
    assert events.count("agent.replaced") == 1


def _other_environment(tenant: Tenant) -> tuple[Host, str]:
    made = tenant.call("POST", "/environments", {"project": tenant.project, "name": "two"})
    former = tenant.enroll(machine_id=MACHINE)
    token = tenant.mint(environment=made.body["environment_id"])
    body = tenant.exchange(token["token"], machine_id=MACHINE).body
    return Host(tenant.api, body["agent_id"], body["runtime_key"], body), former.agent_id


def _other_machine(tenant: Tenant) -> tuple[Host, str]:
    former = tenant.enroll(machine_id=f"{MARK}-other")
    return tenant.enroll(machine_id=MACHINE), former.agent_id


def _no_machine(tenant: Tenant) -> tuple[Host, str]:
    former = tenant.enroll()
    return tenant.enroll(), former.agent_id


def _itself(tenant: Tenant) -> tuple[Host, str]:
    host = tenant.enroll(machine_id=MACHINE)
    return host, host.agent_id


def _ended(tenant: Tenant) -> tuple[Host, str]:
    former, fresh = pair(tenant)
    tenant.call("POST", f"/agents/{former.agent_id}/revoke", {})
    return fresh, former.agent_id


def _successor_ended(tenant: Tenant) -> tuple[Host, str]:
    former, fresh = pair(tenant)
    tenant.call("POST", f"/agents/{fresh.agent_id}/revoke", {})
    return fresh, former.agent_id


@pytest.mark.parametrize(
    ("story", "code"),
    [
        (_other_environment, "other_environment"),
        (_other_machine, "not_same_machine"),
        (_no_machine, "not_same_machine"),
        (_itself, "not_same_machine"),
        (_ended, "agent_revoked"),
        (_successor_ended, "agent_revoked"),
    ],
)
def test_what_is_no_re_imaged_host_is_refused(
    tenant: Tenant, story: Callable[[Tenant], tuple[Host, str]], code: str
) -> None:
    fresh, former = story(tenant)
    with counted() as requests:
        refused = replace(tenant, fresh, former)
    assert (refused.status, refused.code) == (409, code)
    assert requests.transactions == []


def test_a_rename_at_that_moment_is_not_lost_half(tenant: Tenant) -> None:
    former, fresh = pair(tenant)
    path = f"/agents/{former.agent_id}"
    with interleaved(
        lambda: tenant.call("PATCH", path, {"name": "db-2"}), on="TransactWriteItems"
    ) as renamed:
        answer = replace(tenant, fresh, former.agent_id)
    assert renamed[0].status == 200
    assert (answer.status, answer.body["name"]) == (200, "db-2")
    assert names_of(tenant) == ["db-2"]
