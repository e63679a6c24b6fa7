"""A host that enrolled again ends its former agent, whose name goes to the new one."""

from typing import Any

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import LOST, injected, interleaved
from tests.functional.laws.stories import names_of, rows_of

MACHINE = f"{MARK}-machine"


@pytest.fixture
def former(tenant: Tenant) -> Host:
    host = tenant.enroll(machine_id=MACHINE, hostname="web-1")
    host.beat()
    return host


def again(tenant: Tenant, **said: Any) -> Host:
    return tenant.enroll(**{"machine_id": MACHINE, "hostname": "web-1", **said})


def hand_over(former: Host, new: Host, **changed: Any) -> Answer:
    named = {"agent_id": new.agent_id, "runtime_key": new.key, **changed}
    return former.call("POST", "/decommission", {"note": "enrolled again", "successor": named})


def name_of(tenant: Tenant, host: Host) -> str:
    return str(tenant.call("GET", f"/agents/{host.agent_id}").body["name"])


def listed(tenant: Tenant) -> list[str]:
    return [agent["agent_id"] for agent in tenant.call("GET", "/agents").body["agents"]]


@pytest.mark.parametrize("beats", [True, False])
def test_the_name_changes_hands_and_the_former_leaves_the_lists(
    tenant: Tenant, clock: FrozenClock, former: Host, beats: bool
) -> None:
    new = again(tenant)
    assert name_of(tenant, new) != "web-1"
    if beats:
        new.beat()
    answer = hand_over(former, new)
    assert (answer.status, answer.body["successor_name"]) == (200, "web-1")
    assert (listed(tenant), name_of(tenant, new)) == ([new.agent_id], "web-1")
    assert names_of(tenant) == ["web-1"]
    clock.advance(seconds=60)
    assert (former.beat().code, new.beat().status) == ("key_revoked", 200)
    (record,) = (
        one for one in tenant.audit("agent", former.agent_id) if one["event"] == "agent.replaced"
    )
    assert (record["detail"]["reason"], record["detail"]["agent_id"]) == ("agent", new.agent_id)
    assert new.key not in str(record)
    (machine,) = (row for row in rows_of(tenant, "agent_identities") if "agents" in row)
    assert former.agent_id not in str(machine["agents"])


def test_in_another_environment_the_new_agent_keeps_its_own_name(
    tenant: Tenant, former: Host
) -> None:
    made = tenant.call("POST", "/environments", {"project": tenant.project, "name": "two"})
    token = tenant.mint(environment=made.body["environment_id"])["token"]
    said = tenant.exchange(token, hostname="web-9").body
    new = Host(tenant.api, said["agent_id"], said["runtime_key"], said)
    assert hand_over(former, new).body["successor_name"] == "web-9"
    assert (listed(tenant), name_of(tenant, new)) == ([new.agent_id], "web-9")


@pytest.mark.parametrize(
    "changed",
    [
        {"runtime_key": "rca_other"},
        {"agent_id": "agt_" + "0" * 20},
        {"agent_id": "former"},
        {"agent_id": "former", "runtime_key": "former"},
    ],
)
def test_who_does_not_hold_both_keys_changes_nothing(
    tenant: Tenant, clock: FrozenClock, former: Host, changed: dict[str, str]
) -> None:
    new = again(tenant)
    own = {"agent_id": former.agent_id, "runtime_key": former.key}
    changed = {name: own[name] if value == "former" else value for name, value in changed.items()}
    refused = hand_over(former, new, **changed)
    assert (refused.status, refused.code) == (409, "successor_refused")
    clock.advance(seconds=60)
    assert former.beat().status == 200
    assert len(listed(tenant)) == 2


def test_another_tenants_agent_is_no_successor(other_tenant: Tenant, former: Host) -> None:
    refused = hand_over(former, other_tenant.enroll())
    assert (refused.status, refused.code) == (409, "successor_refused")


@pytest.mark.parametrize("end", ["revoke", "decommission", "quarantine"])
def test_an_agent_that_ended_or_is_stopped_is_no_successor(
    tenant: Tenant, former: Host, end: str
) -> None:
    new = again(tenant)
    new.beat()
    tenant.call("POST", f"/agents/{new.agent_id}/{end}", {})
    assert hand_over(former, new).code == "successor_refused"


def test_only_an_agent_names_a_successor(tenant: Tenant, former: Host) -> None:
    new = again(tenant)
    body = {"successor": {"agent_id": new.agent_id, "runtime_key": new.key}}
    refused = tenant.call("POST", f"/agents/{former.agent_id}/decommission", body)
    assert (refused.status, refused.body["errors"][0]["path"]) == (400, "successor")


def test_a_lost_answer_is_ones_own_end(tenant: Tenant, former: Host) -> None:
    new = again(tenant)
    with injected(LOST, on="TransactWriteItems"):
        assert hand_over(former, new).status == 200
    assert name_of(tenant, new) == "web-1"


@pytest.mark.parametrize("renamed", ["former", "new"])
def test_a_rename_at_that_moment_leaves_no_name_behind(
    tenant: Tenant, former: Host, renamed: str
) -> None:
    new = again(tenant)
    host = former if renamed == "former" else new

    def rename() -> None:
        tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": "db-1"})

    with interleaved(rename, on="TransactWriteItems"):
        assert hand_over(former, new).status == 200
    kept = "db-1" if renamed == "former" else "web-1"
    assert (name_of(tenant, new), names_of(tenant)) == (kept, [kept])


def test_an_agent_that_keeps_its_own_name_frees_the_formers(tenant: Tenant, former: Host) -> None:
    new = again(tenant, name="db-1")
    assert hand_over(former, new, keeps_own_name=True).body["successor_name"] == "db-1"
    assert names_of(tenant) == ["db-1"]


def test_a_copy_on_another_machine_does_not_end_the_original(
    tenant: Tenant, clock: FrozenClock, former: Host
) -> None:
    for named in ({}, {"keeps_own_name": True}):
        refused = hand_over(former, again(tenant, machine_id="another"), **named)
        assert (refused.status, refused.code) == (409, "not_same_machine")
    clock.advance(seconds=60)
    assert former.beat().status == 200


def test_a_host_whose_machine_is_not_known_is_believed(tenant: Tenant, former: Host) -> None:
    assert hand_over(former, again(tenant, machine_id=None)).status == 200
