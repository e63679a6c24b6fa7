import re
from typing import Any

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def get(tenant: Tenant, host: Host) -> dict[str, Any]:
    """The agent as operators see it."""
    answer = tenant.call("GET", f"/agents/{host.agent_id}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def patch(tenant: Tenant, host: Host, **wanted: Any) -> Answer:
    """A change of name or labels."""
    return tenant.call("PATCH", f"/agents/{host.agent_id}", wanted)


def test_an_agent_is_shown_with_what_the_host_said(tenant: Tenant) -> None:
    said = {
        "hostname": "edge-1",
        "os": "linux",
        "arch": "aarch64",
        "agent_version": "1.2.3",
        "machine_id": "a-hardware-fingerprint",
    }
    host = tenant.enroll(**said)
    seen = get(tenant, host)
    assert seen == {
        "agent_id": host.agent_id,
        "name": "edge-1",
        "status": "enrolled",
        "project": tenant.project,
        "environment": tenant.environment,
        "labels": {},
        "hostname": "edge-1",
        "os": "linux",
        "arch": "aarch64",
        "agent_version": "1.2.3",
        "collector_id": host.enrollment["collector_id"],
        "asset_id": host.enrollment["asset_id"],
        "certificate_id": None,
        "enrollment_token_id": seen["enrollment_token_id"],
        "enrolled_at": "2026-05-28T20:26:40.000Z",
        "last_seen_at": None,
        "unpersisted": False,
        "revoked_at": None,
        "replaced_by": None,
        "same_machine": [],
        "machine_crowded": False,
        "facts_sha256": None,
        "quarantine": None,
        "key_rotation": "none",
    }


def test_a_beat_brings_last_seen_version_and_persistence_up_to_date(
    tenant: Tenant, clock: FrozenClock
) -> None:
    host = tenant.enroll(agent_version="1.0")
    clock.advance(seconds=5)
    assert host.beat(agent_version="1.1", unpersisted=True).status == 200
    seen = get(tenant, host)
    assert seen["last_seen_at"] == "2026-05-28T20:26:45.000Z"
    assert (seen["agent_version"], seen["unpersisted"]) == ("1.1", True)


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "online"), (90, "online"), (90.001, "late"), (179.999, "late"), (180, "offline"),
     (86_400, "offline")],
)  # fmt: skip
def test_the_status_follows_from_the_last_beat_without_any_sweep(
    tenant: Tenant, clock: FrozenClock, seconds: float, status: str
) -> None:
    host = tenant.enroll()
    assert get(tenant, host)["status"] == "enrolled"
    assert host.beat().status == 200
    clock.advance(seconds=seconds)
    assert get(tenant, host)["status"] == status
    (listed,) = tenant.call("GET", "/agents").body["agents"]
    assert listed["status"] == status


def test_the_status_follows_the_interval_of_the_environment(
    tenant: Tenant, clock: FrozenClock
) -> None:
    slow = tenant.api.new_tenant(heartbeat_interval=600)
    host = slow.enroll()
    assert host.beat().body["heartbeat_interval_seconds"] == 600
    clock.advance(seconds=900)
    assert get(slow, host)["status"] == "online"
    clock.advance(seconds=1)
    assert get(slow, host)["status"] == "late"


def test_an_agent_that_never_beat_stays_enrolled(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    clock.advance(days=30)
    assert get(tenant, host)["status"] == "enrolled"


def test_an_offline_agent_that_beats_is_online_again(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    host.beat()
    clock.advance(hours=2)
    assert get(tenant, host)["status"] == "offline"
    assert host.beat().status == 200
    assert get(tenant, host)["status"] == "online"


def test_names_are_derived_from_the_hostname_and_made_unique(tenant: Tenant) -> None:
    names = [get(tenant, tenant.enroll(hostname="Edge_1.example"))["name"] for _ in range(3)]
    assert names[0] == "Edge-1.example"
    assert all(re.fullmatch(r"Edge-1\.example-[0-9a-v]{6}", name) for name in names[1:])
    assert len(set(names)) == 3


def test_a_derived_name_is_a_name_whatever_the_hostname(tenant: Tenant) -> None:
    for hostname in ("_", "h" * 253, "a" * 56 + ".b", "_._"):
        for _ in range(2):
            name = get(tenant, tenant.enroll(hostname=hostname))["name"]
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", name)


def test_a_given_name_that_is_taken_is_refused_and_spends_nothing(tenant: Tenant) -> None:
    tenant.enroll(name="Edge")
    token = tenant.mint()
    for name in ("Edge", "edge", "EDGE"):
        refused = tenant.exchange(token["token"], name=name)
        assert (refused.status, refused.code) == (409, "name_taken")
    assert tenant.exchange(token["token"], name="edge-2").status == 201


def test_a_name_belongs_to_an_environment_of_a_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    for each in (tenant, other_tenant):
        assert get(each, each.enroll(name="edge"))["name"] == "edge"


def test_name_and_labels_can_be_changed(tenant: Tenant) -> None:
    host = tenant.enroll(name="edge", labels={"rack": "7"})
    renamed = patch(tenant, host, name="core")
    assert renamed.status == 200
    assert (renamed.body["name"], renamed.body["labels"]) == ("core", {"rack": "7"})
    labelled = patch(tenant, host, labels={"team": "x"})
    assert (labelled.body["name"], labelled.body["labels"]) == ("core", {"team": "x"})
    emptied = patch(tenant, host, labels={})
    assert emptied.body["labels"] == {}
    assert get(tenant, host) == emptied.body


def test_a_change_is_on_record_with_what_was_there_before(tenant: Tenant) -> None:
    host = tenant.enroll(name="edge", labels={"rack": "7"})
    for wanted in ({"name": "core"}, {"labels": {"team": "x"}}, {"name": "rim", "labels": {}}):
        tenant.api.clock.advance(seconds=1)
        assert patch(tenant, host, **wanted).status == 200
    records = tenant.audit("agent", host.agent_id)
    details = [one["detail"] for one in records if one["event"] == "agent.updated"]
    known = ("previous_name", "name", "previous_labels", "labels")
    assert [tuple(detail[name] for name in known) for detail in details] == [
        ("edge", "core", {"rack": "7"}, {"rack": "7"}),
        ("core", "core", {"rack": "7"}, {"team": "x"}),
        ("core", "rim", {"team": "x"}, {}),
    ]


def test_a_change_of_nothing_is_refused(tenant: Tenant) -> None:
    host = tenant.enroll()
    for wanted in ({}, {"name": None}, {"name": None, "labels": None}):
        answer = patch(tenant, host, **wanted)
        assert (answer.status, answer.code) == (400, "nothing_to_change")


def test_a_name_that_another_agent_has_is_refused_and_nothing_changes(tenant: Tenant) -> None:
    tenant.enroll(name="edge")
    host = tenant.enroll(name="core")
    for name in ("edge", "EDGE"):
        answer = patch(tenant, host, name=name, labels={"a": "b"})
        assert (answer.status, answer.code) == (409, "name_taken")
    assert (get(tenant, host)["name"], get(tenant, host)["labels"]) == ("core", {})


def test_an_agent_can_write_its_own_name_otherwise(tenant: Tenant) -> None:
    host = tenant.enroll(name="edge")
    for name in ("EDGE", "Edge", "Edge"):
        assert patch(tenant, host, name=name).body["name"] == name
    assert tenant.call("GET", "/agents?name=edge").body["agents"][0]["name"] == "Edge"
    assert tenant.exchange(tenant.mint()["token"], name="edge").code == "name_taken"


def test_a_name_is_free_after_a_rename(tenant: Tenant) -> None:
    first, second = tenant.enroll(name="edge"), tenant.enroll(name="core")
    assert patch(tenant, first, name="rim").status == 200
    assert patch(tenant, second, name="edge").status == 200
    assert patch(tenant, first, name="core").status == 200
    assert tenant.exchange(tenant.mint()["token"], name="rim").status == 201


def test_a_change_leaves_evidence(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll(name="edge")
    clock.advance(seconds=1)
    patch(tenant, host, name="core", labels={"a": "b"})
    record = tenant.audit("agent", host.agent_id)[-1]
    assert record["event"] == "agent.updated"
    assert record["actor"]["type"] == "organization_key"
    assert record["detail"] == {
        "agent_id": host.agent_id,
        "name": "core",
        "previous_name": "edge",
        "labels": {"a": "b"},
        "previous_labels": {},
    }


def test_revoking_twice_changes_nothing(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    host.beat()
    clock.advance(seconds=60)
    first = tenant.call("POST", f"/agents/{host.agent_id}/revoke", {"note": "gone"})
    assert (first.status, first.body["status"]) == (200, "revoked")
    assert first.body["revoked_at"] == "2026-05-28T20:27:40.000Z"
    clock.advance(seconds=60)
    second = tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    assert (second.status, second.body) == (200, first.body)
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.revoked") == 1


def test_a_revoked_agent_is_refused_on_its_next_request(tenant: Tenant) -> None:
    host = tenant.enroll()
    host.beat()
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    refused = host.beat()
    assert (refused.status, refused.code) == (401, "key_revoked")


def test_a_revoked_agent_can_not_be_changed(tenant: Tenant) -> None:
    host = tenant.enroll(name="edge")
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    answer = patch(tenant, host, name="core")
    assert (answer.status, answer.code) == (409, "agent_revoked")
    assert get(tenant, host)["name"] == "edge"


def test_an_agent_that_never_beat_can_be_revoked(tenant: Tenant) -> None:
    host = tenant.enroll()
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").body["status"] == "revoked"
    assert host.beat().code == "key_revoked"


def test_the_name_of_a_revoked_agent_is_free_for_the_next_one(tenant: Tenant) -> None:
    first = tenant.enroll(name="edge-1")
    taken = tenant.exchange(tenant.mint()["token"], name="edge-1")
    assert (taken.status, taken.code) == (409, "name_taken")
    assert tenant.call("POST", f"/agents/{first.agent_id}/revoke").status == 200
    second = tenant.enroll(name="edge-1")
    assert second.agent_id != first.agent_id
    renamed = tenant.call("PATCH", f"/agents/{first.agent_id}", {"name": "edge-2"})
    assert (renamed.status, renamed.code) == (409, "agent_revoked")
