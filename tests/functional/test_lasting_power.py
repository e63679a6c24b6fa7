"""Who ends while a request is under way leaves nothing behind that outlives them.

The guard let the request in; what it saw is no more when the flow writes.
"""

from collections.abc import Callable

import pytest

from chalicelib import runtime
from chalicelib.errors import DomainError, Forbidden, Unauthenticated
from chalicelib.evidence.record import Origin
from chalicelib.flows import (
    invitations,
    members,
    members_accounts,
    oidc_configuration,
    organization_keys,
    personal_tokens,
)
from chalicelib.flows.invitations import InviteRequest
from chalicelib.flows.members import ChangeRoleRequest
from chalicelib.flows.oidc_configuration import IdentityProviderRequest
from chalicelib.flows.organization_keys import CreateKeyRequest, RotateKeyRequest
from chalicelib.flows.personal_tokens import MintPersonalTokenRequest
from chalicelib.permissions import Role
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.api import Tenant
from tests.functional.people import Person, person

_PROVIDER = IdentityProviderRequest(
    issuer="https://login.example", client_id="c", group_roles={"g": Role.ORG_ADMIN}
)
_KEY = CreateKeyRequest(name="x", scopes=["organization:write"])


def _origin(who: Person) -> Origin:
    now = runtime.current().clock()
    return Origin(who.tenant.organization, "user", who.user, "r", None, now, who.session_id)


def _create_key(origin: Origin, _: str) -> object:
    return organization_keys.create(runtime.current().patience, origin, _KEY)


def _rotate_key(origin: Origin, _: str) -> object:
    (key,) = OrganizationItem.query(
        origin.organization,
        OrganizationItem.item.startswith("key#"),
        filter_condition=OrganizationItem.name == "rotated",
    )
    name = key.item.partition("#")[2]
    return organization_keys.rotate(runtime.current().patience, origin, name, RotateKeyRequest())


def _invite(origin: Origin, _: str) -> object:
    return invitations.invite(
        runtime.current().patience, origin, InviteRequest(role=Role.ORG_ADMIN)
    )


def _promote(origin: Origin, mate: str) -> object:
    wanted = ChangeRoleRequest(role=Role.ORG_ADMIN)
    return members.change_role(runtime.current().patience, origin, mate, wanted)


def _promote_themselves(origin: Origin, _: str) -> object:
    return _promote(origin, origin.actor_id)


def _remove(origin: Origin, mate: str) -> object:
    return members.remove(runtime.current().patience, origin, mate)


def _disable(origin: Origin, mate: str) -> object:
    return members_accounts.disable(runtime.current().patience, origin, mate, None)


def _enable(origin: Origin, mate: str) -> object:
    PersonItem(mate, "user").update([PersonItem.status.set("disabled")])
    return members_accounts.enable(runtime.current().patience, origin, mate, None)


def _set_provider(origin: Origin, _: str) -> object:
    now = runtime.current()
    return oidc_configuration.put(now.keyring, now.patience, origin, _PROVIDER)


_ACTS: list[Callable[[Origin, str], object]] = [
    _create_key,
    _rotate_key,
    _invite,
    _promote,
    _remove,
    _disable,
    _enable,
    _set_provider,
]


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


@pytest.fixture
def rogue(admin: Person) -> Person:
    """An org_admin whose request is under way."""
    made = admin.call("POST", "/organization-keys", {"name": "rotated", "scopes": ["agents:read"]})
    assert made.status == 201
    return person(admin.tenant, "org_admin")


def _rows(tenant: Tenant) -> list[dict[str, object]]:
    found = list(OrganizationItem.query(tenant.organization))
    return [row.attribute_values for row in found if not row.item.startswith("seal")]


@pytest.mark.parametrize("act", _ACTS)
def test_who_was_removed_meanwhile_is_refused_and_nothing_is_written(
    tenant: Tenant, admin: Person, rogue: Person, act: Callable[[Origin, str], object]
) -> None:
    mate, origin = person(tenant, "viewer"), _origin(rogue)
    assert admin.call("DELETE", f"/members/{rogue.user}").status == 200
    before = _rows(tenant)
    with pytest.raises(Unauthenticated) as refused:
        act(origin, mate.user)
    assert refused.value.code == rogue.call("GET", "/me").code == "membership_ended"
    assert _rows(tenant) == before


@pytest.mark.parametrize("act", [*_ACTS, _promote_themselves])
def test_who_was_demoted_meanwhile_is_refused_and_nothing_is_written(
    tenant: Tenant, admin: Person, rogue: Person, act: Callable[[Origin, str], object]
) -> None:
    mate, origin = person(tenant, "viewer"), _origin(rogue)
    changed = admin.call("PATCH", f"/members/{rogue.user}", {"role": "viewer"})
    assert changed.status == 200
    before = _rows(tenant)
    with pytest.raises(Forbidden) as refused:
        act(origin, mate.user)
    assert refused.value.code == rogue.call("GET", "/organization-keys").code
    assert refused.value.code == "permission_missing"
    assert _rows(tenant) == before


def test_who_was_disabled_meanwhile_makes_no_key(admin: Person, rogue: Person) -> None:
    origin = _origin(rogue)
    assert admin.call("POST", f"/members/{rogue.user}/disable", {}).status == 200
    with pytest.raises(Unauthenticated) as refused:
        _create_key(origin, "")
    assert refused.value.code == rogue.call("GET", "/me").code == "user_disabled"


@pytest.mark.parametrize("act", [_create_key, _rotate_key, _invite, _promote, _set_provider])
def test_who_is_an_org_admin_still_is_not_refused(
    tenant: Tenant, rogue: Person, act: Callable[[Origin, str], object]
) -> None:
    assert act(_origin(rogue), person(tenant, "viewer").user) is not None


def test_an_org_admin_may_step_back_leave_and_disable_the_own_account(
    tenant: Tenant, admin: Person
) -> None:
    first, second, third = (person(tenant, "org_admin") for _ in range(3))
    back = first.call("PATCH", f"/members/{first.user}", {"role": "viewer"})
    assert (back.status, back.body["role"]) == (200, "viewer")
    assert second.call("DELETE", f"/members/{second.user}").status == 200
    assert third.call("POST", f"/members/{third.user}/disable", {}).status == 200
    assert admin.call("GET", f"/members/{third.user}").body["status"] == "disabled"


def _log_out_everywhere(who: Person) -> None:
    assert who.call("POST", "/me/sessions/revoke", {}).status == 200


def _log_out(who: Person) -> None:
    assert who.call("POST", "/auth/logout", {}).status in {200, 204}


def _disabled(who: Person) -> None:
    # By the organization that made the account, which is another one.
    PersonItem(who.user, "user").update([PersonItem.status.set("disabled")])


@pytest.mark.parametrize("end", [_log_out_everywhere, _log_out, _disabled])
def test_a_session_that_ended_meanwhile_makes_no_personal_token(
    tenant: Tenant, end: Callable[[Person], None]
) -> None:
    who = person(tenant, "operator")
    origin = _origin(who)
    end(who)
    wanted = MintPersonalTokenRequest(name="x", scopes=["agents:read"], ttl_seconds=31_536_000)
    with pytest.raises(DomainError) as refused:
        personal_tokens.mint(runtime.current().patience, origin, wanted)
    assert (refused.value.status, refused.value.code) == (401, "credential_revoked")
    assert not list(PersonItem.query(who.user, PersonItem.item.startswith("token#")))


def test_a_session_that_outlived_a_logout_everywhere_makes_a_personal_token(
    tenant: Tenant,
) -> None:
    who = person(tenant, "operator")
    assert who.call("POST", "/me/sessions/revoke", {"keep_current": True}).status == 200
    body = {"name": "x", "scopes": ["agents:read"], "ttl_seconds": 60}
    assert who.call("POST", "/me/tokens", body).status == 201
