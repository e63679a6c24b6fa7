"""Setting an organization's identity provider: by whom, and what is shown of it."""

import json
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.credentials.sealed import UnsealableError, unseal
from chalicelib.errors import Unavailable
from chalicelib.flows import oidc_configuration
from chalicelib.store import identity_providers
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import deletions
from tests.functional.laws.stories import rows_of
from tests.functional.oidc.provider import SECRET
from tests.functional.oidc.sign_on import ROLES, Organization
from tests.functional.people import person, personal_token

GOOD = {
    "issuer": "https://idp.example/realm",
    "client_id": "rollcall",
    "group_roles": {"ops": "operator"},
}


def test_the_configuration_is_shown_without_its_secret(organization: Organization) -> None:
    answer = organization.admin.call("GET", organization.path)
    assert answer.status == 200
    assert answer.body["issuer"] == organization.idp.issuer
    assert answer.body["group_roles"] == ROLES
    assert answer.body["client_secret_set"] is True
    own = f"https://rollcall.example/api/v1/auth/oidc/{organization.id}/callback"
    assert answer.body["redirect_uri"] == own
    assert SECRET not in json.dumps(answer.body)
    assert not [name for name in answer.body if "sealed" in name]


def test_the_secret_is_nowhere_but_sealed(
    organization: Organization, capsys: pytest.CaptureFixture[str]
) -> None:
    organization.configure(client_secret="canary-of-the-client")
    stored = [row.attribute_values for row in OrganizationItem.query(organization.id)]
    assert "canary-of-the-client" not in repr(stored)
    records = organization.tenant.audit("organization", organization.id)
    assert "canary-of-the-client" not in repr(records)
    captured = capsys.readouterr()
    assert "canary-of-the-client" not in captured.out + captured.err


def test_a_change_is_evidence(organization: Organization, clock: FrozenClock) -> None:
    clock.advance(seconds=1)
    organization.configure(group_roles={"ops": "viewer"}, client_secret=None, client_id="public")
    clock.advance(seconds=1)
    deleted = organization.admin.call("DELETE", organization.path)
    assert deleted.status == 200
    records = [
        record
        for record in organization.tenant.audit("organization", organization.id)
        if record["event"] == "organization.identity_provider.changed"
    ]
    assert [record["detail"]["status"] for record in records] == ["active", "active", "removed"]
    assert [record["detail"]["confidential"] for record in records] == [True, False, False]
    assert records[1]["detail"]["group_roles"] == {"ops": "viewer"}
    assert records[1]["detail"]["issuer"] == organization.idp.issuer
    assert records[1]["actor"]["id"] == organization.admin.user


def test_a_sealed_secret_belongs_to_one_organization_and_issuer(
    organization: Organization,
) -> None:
    provider = oidc_configuration.get(organization.id)
    ring = runtime.current().keyring
    assert oidc_configuration.client_secret(ring, organization.id, provider) == SECRET
    assert provider.sealed_secret is not None
    for place in (f"org_other\n{provider.issuer}", f"{organization.id}\nhttps://other.example"):
        with pytest.raises(UnsealableError):
            unseal(ring, "identity-provider-secret", provider.sealed_secret, place)


def secret_of(organization: Organization) -> str | None:
    provider = oidc_configuration.get(organization.id)
    return oidc_configuration.client_secret(runtime.current().keyring, organization.id, provider)


def put(organization: Organization, **wanted: Any) -> None:
    answer = organization.admin.call("PUT", organization.path, wanted)
    assert answer.status == 200, answer.body


def test_a_secret_that_is_not_named_stays_with_issuer_and_client_only(
    organization: Organization,
) -> None:
    put(organization, **GOOD, client_secret="first")
    put(organization, **{**GOOD, "group_roles": {"ops": "viewer"}})
    assert secret_of(organization) == "first"
    put(organization, **GOOD, client_secret=None)
    assert secret_of(organization) is None
    # Whoever may name the issuer must not be sent the secret of another one.
    for changed in ({"issuer": "https://other.example"}, {"client_id": "another"}):
        put(organization, **GOOD, client_secret="first")
        put(organization, **{**GOOD, **changed})
        assert secret_of(organization) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "http://idp.example"},
        {"issuer": "https://user:pass@idp.example"},
        {"issuer": "https://idp.example?tenant=1"},
        {"issuer": "https://idp.example#f"},
        {"issuer": "https://idp.example:22"},
        {"issuer": "https://"},
        {"issuer": "https://" + "i" * 600},
        {"client_id": ""},
        {"client_id": "line\nbreak"},
        {"client_secret": ""},
        {"client_secret": "é"},
        {"scopes": ["profile"]},
        {"scopes": []},
        {"scopes": ["openid", "two words"]},
        {"groups_claim": ""},
        {"group_roles": {"ops": "root"}},
        {"group_roles": {f"g{number}": "viewer" for number in range(65)}},
        {"group_roles": ["ops"]},
        {"status": "off"},
        {"secret": "x"},
    ],
)
def test_what_cannot_be_a_provider_is_refused(
    organization: Organization, changed: dict[str, Any]
) -> None:
    before = organization.admin.call("GET", organization.path).body
    answer = organization.admin.call("PUT", organization.path, {**GOOD, **changed})
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert organization.admin.call("GET", organization.path).body == before


@pytest.mark.parametrize("role", ["project_admin", "operator", "viewer", None])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_who_manages_memberships_may_see_or_change_it(
    organization: Organization, role: str | None, method: str
) -> None:
    someone = person(organization.tenant, role, projects={organization.tenant.project: "viewer"})
    answer = someone.call(method, organization.path, GOOD if method == "PUT" else None)
    assert (answer.status, answer.code) == (403, "permission_missing")


def test_nobody_changes_it_by_an_organization_key_or_a_personal_token(
    organization: Organization,
) -> None:
    answer = organization.tenant.call("PUT", organization.path, GOOD)
    assert (answer.status, answer.code) == (401, "wrong_credential_family")
    call, user = organization.tenant.api.call, organization.admin.user
    raw, _ = personal_token(organization.tenant, user, {"organization:read"})
    path = f"/api/v1{organization.path}"
    assert call("GET", path, credential=raw).status == 200
    assert call("PUT", path, GOOD, credential=raw).code == "wrong_credential_family"


def test_another_organizations_provider_is_not_told_from_none(
    organization: Organization, sign_on: Api
) -> None:
    tenant: Tenant = sign_on.new_tenant()
    foreign = person(tenant, "org_admin")
    unknown = "/organizations/org_00000000000000000000/identity-provider"
    for method, body in (("GET", None), ("PUT", GOOD), ("DELETE", None)):
        answers = [foreign.call(method, path, body) for path in (organization.path, unknown)]
        for answer in answers:
            assert (answer.status, answer.code) == (404, "organization_not_found")
        assert answers[0].body["detail"] == answers[1].body["detail"]


def test_what_was_deleted_is_gone(organization: Organization) -> None:
    assert organization.admin.call("DELETE", organization.path).status == 200
    for method in ("GET", "DELETE"):
        answer = organization.admin.call(method, organization.path)
        assert (answer.status, answer.code) == (404, "identity_provider_not_found")


def test_an_organization_that_is_being_deleted_gets_no_provider(
    organization: Organization,
) -> None:
    OrganizationItem(organization.id, "organization").update(
        actions=[OrganizationItem.status.set("deleting")]
    )
    answer = organization.admin.call("PUT", organization.path, GOOD)
    assert answer.code == "organization_closed"
    begun = organization.tenant.api.call("GET", f"/api/v1/auth/oidc/{organization.id}/start")
    assert begun.code == "identity_provider_not_found"


def test_a_provider_that_goes_with_its_organization_leaves_evidence(
    organization: Organization,
) -> None:
    tenant = organization.tenant
    job = deletions.delete(organization.admin, "organization", tenant.organization)["job_id"]
    deletions.run(tenant, job)
    assert identity_providers.find(tenant.organization) is None
    records = [row for row in rows_of(tenant, "audit_records") if "identity_provider" in str(row)]
    details = [json.loads(row["detail"]["S"]) for row in records]
    assert sorted(detail["status"] for detail in details) == ["active", "removed"]


def test_a_secret_whose_signing_key_is_gone_is_our_fault_and_no_verdict(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = runtime.current()
    keys = json.dumps({"current": "later", "later": "l" * 40})
    monkeypatch.setattr(runtime.Runtime, "_fetch_signing_secret", lambda _: keys)
    fresh = runtime.Runtime(clock=now.clock)
    provider = oidc_configuration.get(organization.id)
    with pytest.raises(Unavailable) as caught:
        oidc_configuration.client_secret(fresh.keyring, organization.id, provider)
    assert caught.value.code == "identity_provider_unavailable"
