"""Organization keys: their secrets, their overlap, their end."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.credentials import organization_key
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows.organization_keys import MOST_LIVE_KEYS
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.people import Person, person
from tests.functional.world import organization_key_with

DAY = 86_400


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


def create(admin: Person, **wanted: Any) -> tuple[str, str]:
    """A fresh key: its identifier and its secret."""
    body = {"name": "ci", "scopes": ["agents:read"], **wanted}
    answer = admin.call("POST", "/organization-keys", body)
    assert answer.status == 201, answer.body
    return answer.body["organization_key_id"], answer.body["organization_key"]


def rotate(admin: Person, key: str, **wanted: Any) -> Answer:
    return admin.call("POST", f"/organization-keys/{key}/rotate", wanted or None)


def use(tenant: Tenant, secret: str) -> Answer:
    return tenant.api.call("GET", "/api/v1/agents", credential=secret)


def test_the_secret_is_shown_once_and_the_key_is_worth_its_scopes(
    tenant: Tenant, admin: Person
) -> None:
    key, secret = create(admin, scopes=["jobs:read", "agents:read"])
    assert use(tenant, secret).status == 200
    refused(
        tenant.api.call("GET", "/api/v1/audit-records", credential=secret), 403, "scope_missing"
    )
    shown = admin.call("GET", f"/organization-keys/{key}").body
    assert shown == {
        "organization_key_id": key,
        "name": "ci",
        "status": "active",
        "scopes": ["agents:read", "jobs:read"],
        "created_at": shown["created_at"],
        "created_by": admin.user,
        "expires_at": None,
        "last_used_at": shown["created_at"],
        "overlap_until": None,
    }
    listed = admin.call("GET", "/organization-keys").body["organization_keys"]
    assert shown in listed
    (record,) = tenant.audit("organization_key", key)
    assert record["detail"] == {
        "organization_key_id": key, "name": "ci", "scopes": ["agents:read", "jobs:read"],
        "expires_at": None,
    }  # fmt: skip
    assert secret not in str((listed, record))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"scopes": ["agents:read", "agent:enroll"]}, "validation_failed"),
        ({"scopes": ["*"]}, "validation_failed"),
        ({"scopes": []}, "validation_failed"),
        ({"scopes": ["agents:read"] * 2}, "validation_failed"),
        ({"name": ""}, "validation_failed"),
        ({"ttl_seconds": 59}, "validation_failed"),
        ({"ttl_seconds": 400 * DAY + 1}, "validation_failed"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    admin: Person, changed: dict[str, Any], code: str
) -> None:
    body = {"name": "ci", "scopes": ["agents:read"], **changed}
    refused(admin.call("POST", "/organization-keys", body), 400, code)


def test_a_key_ends_when_its_time_is_over(
    tenant: Tenant, admin: Person, clock: FrozenClock
) -> None:
    key, secret = create(admin, ttl_seconds=60)
    clock.advance(seconds=59)
    assert use(tenant, secret).status == 200
    clock.advance(seconds=1)
    refused(use(tenant, secret), 401, "credential_expired")
    assert admin.call("GET", f"/organization-keys/{key}").body["status"] == "expired"
    refused(rotate(admin, key), 409, "organization_key_ended")


def test_a_revoked_key_is_refused_and_stays_revoked(tenant: Tenant, admin: Person) -> None:
    key, secret = create(admin)
    for _ in range(2):
        revoked = admin.call("DELETE", f"/organization-keys/{key}")
        assert (revoked.status, revoked.body["status"]) == (200, "revoked")
        refused(use(tenant, secret), 401, "credential_revoked")
    refused(rotate(admin, key), 409, "organization_key_ended")
    assert len(tenant.audit("organization_key", key)) == 2


def test_another_organizations_key_is_none(other_tenant: Tenant, admin: Person) -> None:
    foreign, secret = create(person(other_tenant, "org_admin"))
    for identifier in (foreign, ids.new(ids.ORGANIZATION_KEY), "key_x"):
        path = f"/organization-keys/{identifier}"
        for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
            answer = admin.call(method, path + more)
            refused(answer, 404, "organization_key_not_found")
    assert use(other_tenant, secret).status == 200


def test_a_list_goes_on_where_a_page_ended(admin: Person) -> None:
    made = {create(admin)[0] for _ in range(3)}
    first = admin.call("GET", "/organization-keys?limit=2").body
    path = f"/organization-keys?limit=2&cursor={first['next_cursor']}"
    second = admin.call("GET", path).body
    rows = first["organization_keys"] + second["organization_keys"]
    assert {row["organization_key_id"] for row in rows} >= made
    assert len(rows) == 4  # with that of the bootstrap


# ---------------------------------------------------------------------------------------- overlap


def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(
    tenant: Tenant, admin: Person, clock: FrozenClock
) -> None:
    key, first = create(admin)
    answer = rotate(admin, key, overlap_seconds=3600)
    second = answer.body["organization_key"]
    assert (answer.status, answer.body["ended_secret_early"]) == (200, False)
    assert answer.body["organization_key_id"] == key
    assert answer.body["overlap_until"] == rfc3339(clock.now + 3_600_000)
    clock.advance(seconds=3599)
    assert [use(tenant, secret).status for secret in (first, second)] == [200, 200]
    clock.advance(seconds=1)
    refused(use(tenant, first), 401, "credential_invalid")
    assert use(tenant, second).status == 200
    assert admin.call("GET", f"/organization-keys/{key}").body["overlap_until"] is None


def test_an_overlap_lasts_a_day_unless_it_is_said(admin: Person, clock: FrozenClock) -> None:
    key, _ = create(admin)
    assert rotate(admin, key).body["overlap_until"] == rfc3339(clock.now + DAY * 1000)


def test_without_an_overlap_the_former_secret_ends_at_once(tenant: Tenant, admin: Person) -> None:
    key, first = create(admin)
    answer = rotate(admin, key, overlap_seconds=0)
    assert answer.body["overlap_until"] is None
    refused(use(tenant, first), 401, "credential_invalid")
    assert use(tenant, answer.body["organization_key"]).status == 200


def test_rotating_twice_within_the_overlap_ends_the_first_secret_and_says_so(
    tenant: Tenant, admin: Person
) -> None:
    key, first = create(admin)
    second = rotate(admin, key, overlap_seconds=7 * DAY).body["organization_key"]
    answer = rotate(admin, key)
    assert answer.body["ended_secret_early"] is True
    refused(use(tenant, first), 401, "credential_invalid")
    third = answer.body["organization_key"]
    assert [use(tenant, secret).status for secret in (second, third)] == [200, 200]


def test_a_revoke_ends_both_secrets(tenant: Tenant, admin: Person) -> None:
    key, first = create(admin)
    second = rotate(admin, key).body["organization_key"]
    assert admin.call("DELETE", f"/organization-keys/{key}").status == 200
    assert [use(tenant, secret).status for secret in (first, second)] == [401, 401]


def test_an_overlap_does_not_outlive_the_key(
    tenant: Tenant, admin: Person, clock: FrozenClock
) -> None:
    key, first = create(admin, ttl_seconds=60)
    second = rotate(admin, key).body["organization_key"]
    clock.advance(seconds=60)
    assert [use(tenant, secret).status for secret in (first, second)] == [401, 401]


@pytest.mark.parametrize("overlap", [-1, 7 * DAY + 1, "1"])
def test_an_overlap_has_bounds(admin: Person, overlap: Any) -> None:
    key, _ = create(admin)
    refused(rotate(admin, key, overlap_seconds=overlap), 400, "validation_failed")


def test_of_two_who_rotate_at_once_one_is_told(tenant: Tenant, admin: Person) -> None:
    key, first = create(admin)
    with interleaved(lambda: rotate(admin, key), on="TransactWriteItems") as won:
        refused(rotate(admin, key), 409, "organization_key_moved")
    second = won[0].body["organization_key"]
    assert [use(tenant, secret).status for secret in (first, second)] == [200, 200]


def test_a_rotation_does_not_bring_a_key_back(tenant: Tenant, admin: Person) -> None:
    key, first = create(admin)
    revoke = lambda: admin.call("DELETE", f"/organization-keys/{key}")  # noqa: E731
    with interleaved(revoke, on="TransactWriteItems"):
        refused(rotate(admin, key), 409, "organization_key_ended")
    assert use(tenant, first).status == 401


def test_a_rotation_at_the_same_moment_does_not_stop_a_revoke(
    tenant: Tenant, admin: Person
) -> None:
    key, first = create(admin)
    with interleaved(lambda: rotate(admin, key), on="TransactWriteItems") as rotated:
        assert admin.call("DELETE", f"/organization-keys/{key}").status == 200
    second = rotated[0].body["organization_key"]
    assert [use(tenant, secret).status for secret in (first, second)] == [401, 401]


CHANGES: dict[str, Callable[[Person, str], Answer]] = {
    "rotate": rotate,
    "revoke": lambda admin, key: admin.call("DELETE", f"/organization-keys/{key}"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_changes_a_key_once(
    tenant: Tenant, admin: Person, change: str, fault: faults.Fault
) -> None:
    with injected(fault, on="TransactWriteItems"):
        key, first = create(admin)
    with injected(fault, on="TransactWriteItems"):
        answer = CHANGES[change](admin, key)
    assert answer.status == 200, answer.body
    assert len(tenant.audit("organization_key", key)) == 2
    if change == "rotate":
        second = answer.body["organization_key"]
        assert [use(tenant, secret).status for secret in (first, second)] == [200, 200]


# ------------------------------------------------------------------------------------------ limit


def live(tenant: Tenant) -> int:
    rows = OrganizationItem.query(tenant.organization, OrganizationItem.item.startswith("key#"))
    return sum(row.status == "active" for row in rows)


def fill(tenant: Tenant, left: int) -> None:
    """Leave room for so many further keys."""
    for _ in range(MOST_LIVE_KEYS - left - live(tenant)):
        organization_key_with(tenant, {"agents:read"})


def test_an_organization_has_100_live_keys_at_most(
    tenant: Tenant, admin: Person, clock: FrozenClock
) -> None:
    fill(tenant, 1)
    key, _ = create(admin, ttl_seconds=60)
    body = {"name": "ci", "scopes": ["agents:read"]}
    refused(admin.call("POST", "/organization-keys", body), 409, "too_many_organization_keys")
    clock.advance(seconds=60)
    other, _ = create(admin)
    assert admin.call("DELETE", f"/organization-keys/{other}").status == 200
    create(admin)
    assert key != other


def test_two_keys_at_once_do_not_go_over_the_limit(tenant: Tenant, admin: Person) -> None:
    fill(tenant, 1)
    body = {"name": "ci", "scopes": ["agents:read"]}
    with interleaved(lambda: create(admin), on="TransactWriteItems"):
        answer = admin.call("POST", "/organization-keys", body)
    refused(answer, 409, "too_many_organization_keys")
    assert live(tenant) == MOST_LIVE_KEYS


def test_every_scope_there_is_can_be_given(tenant: Tenant, admin: Person) -> None:
    _, secret = create(admin, scopes=sorted(organization_key.SCOPES))
    assert use(tenant, secret).status == 200
