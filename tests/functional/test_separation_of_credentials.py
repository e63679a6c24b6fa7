"""The sentences of `byteor-auth-and-access` that keep the credentials apart, one test for each.

A test's docstring is its sentence, or the row of its table.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.api.access import (
    APPROVAL,
    ENROLLMENT_TOKEN,
    FAMILIES,
    ORGANIZATION_KEY,
    PERSONAL_TOKEN,
    RUNTIME_KEY,
    SESSION,
)
from chalicelib.api.access import ROUTES as TABLE
from chalicelib.credentials import organization_key
from chalicelib.credentials.opaque import OpaqueFamily
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, problem, send
from tests.functional.people import person, personal_token
from tests.functional.routes import AGENT, ENROLLMENT, WITH_CREDENTIAL, Route, of
from tests.functional.world import (
    World,
    artifact_wish,
    new_world,
    organization_key_with,
    running_api,
)

OF_AGENTS_ONLY = [r for r in WITH_CREDENTIAL if r.families == (RUNTIME_KEY,)]
OF_PEOPLE_ONLY = [r for r in WITH_CREDENTIAL if r.families == (SESSION,)]
MINT = {"environment": "env_" + "0" * 20}


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def bearer(route: Route, world: World, credential: str) -> RawAnswer:
    """The route's good request under another credential."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {credential}"}
    return send(route.request(world, headers=headers))


def is_of_another_family(route: Route, world: World, credential: str) -> None:
    """The credential is not even looked up."""
    with database_requests() as seen:
        problem(bearer(route, world, credential), 401, "wrong_credential_family")
    assert seen == []


def call(world: World, credential: str, method: str, path: str, body: Any = None) -> Any:
    return world.tenant.api.call(method, f"/api/v1{path}", body, credential=credential)


# -------------------------------------------------------------- the sentence above the table


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
def test_enrollment_tokens_runtime_keys_user_access_and_approvals_are_not_interchangeable(
    world: World, route: Route
) -> None:
    """Enrollment tokens, agent runtime keys, user access, and approval credentials should not be
    treated as interchangeable."""
    for family in set(FAMILIES) - set(route.families):
        is_of_another_family(route, world, world.credential(family))


def test_cloud_uses_separate_credential_families_because_the_actors_are_different(
    world: World,
) -> None:
    """Cloud uses separate credential families because the actors are different."""
    secrets = {family: world.credential(family) for family in FAMILIES}
    assert all(raw.startswith(family) for family, raw in secrets.items())
    # Five families; the first of them has a form for browsers and one for scripts.
    assert len(FAMILIES) == 6
    assert len({raw[:4] for raw in secrets.values()}) == len(FAMILIES)


# ---------------------------------------------------------------------------------- its rows


@pytest.mark.parametrize("family", [SESSION, PERSONAL_TOKEN])
def test_a_human_operator_has_what_organization_and_project_membership_gives(
    world: World, family: str
) -> None:
    """Human operator: browser session or API bearer token; organization and project membership;
    backed by the configured login flow and normal RBAC checks."""
    tenant = world.tenant
    someone = person(tenant, "viewer", projects={})
    raw = someone.session
    if family == PERSONAL_TOKEN:
        raw, _ = personal_token(tenant, someone.user, set(organization_key.SCOPES))
    mint = {"environment": tenant.environment}
    refused = call(world, raw, "POST", "/agent-enrollment/tokens", mint)
    assert (refused.status, refused.code) == (403, "permission_missing")
    path = f"/projects/{tenant.project}/members/{someone.user}"
    assert world.admin.call("PUT", path, {"role": "operator"}).status == 200
    assert call(world, raw, "POST", "/agent-enrollment/tokens", mint).status == 201
    assert world.admin.call("DELETE", f"/members/{someone.user}").status == 200
    ended = call(world, raw, "GET", "/agents")
    assert (ended.status, ended.code) == (401, "membership_ended")


def test_automation_is_bound_to_its_organization_and_cannot_impersonate_an_enrolled_agent(
    world: World,
) -> None:
    """Automation at the control-plane edge: organization API key; organization; used for
    automation that should not impersonate an enrolled agent."""
    raw = organization_key_with(world.tenant, set(organization_key.SCOPES))
    other = world.tenant.api.new_tenant()
    host = other.enroll()
    assert call(world, raw, "GET", f"/agents/{host.agent_id}").status == 404
    for route in OF_AGENTS_ONLY:
        is_of_another_family(route, world, raw)
    listed = call(world, raw, "GET", f"/agents/{world.host.agent_id}").body
    assert listed["agent_id"] == world.host.agent_id  # it looks at agents, and is none


def test_an_enrollment_token_registers_an_agent_into_its_one_environment_and_does_nothing_else(
    world: World,
) -> None:
    """Agent bootstrap: enrollment token; environment; single-purpose credential used to register
    one agent into one environment."""
    token = world.tenant.mint()
    of_tokens = {route for route, row in TABLE.items() if ENROLLMENT_TOKEN in row.families}
    # The other one is the dry run of the exchange.
    assert of_tokens == {f"POST {ENROLLMENT}/exchange", f"POST {ENROLLMENT}/check"}
    for route in WITH_CREDENTIAL:
        if ENROLLMENT_TOKEN not in route.families:
            is_of_another_family(route, world, token["token"])
    enrolled = world.tenant.exchange(token["token"])
    assert (enrolled.status, enrolled.body["environment"]) == (201, world.tenant.environment)
    again = world.tenant.exchange(token["token"])
    assert (again.status, again.code) == (410, "token_spent")


def test_an_enrolled_agent_acts_as_itself_and_as_no_other(world: World) -> None:
    """Enrolled agent: runtime API key; agent; used for heartbeats, deployment fetch, artifact
    upload, and signing-key refresh."""
    first, second = world.tenant.enroll(hostname="first"), world.tenant.enroll(hostname="second")
    assert first.beat().status == 200
    assert first.call("POST", "/artifacts", artifact_wish(b"of the first")).status == 201
    for route in WITH_CREDENTIAL:
        if route.families == (RUNTIME_KEY,):
            parameters = {**world.parameters, "agent_id": second.agent_id}
            chosen = {name: parameters[name] for name in route.parameters}
            headers = {"content-type": "application/json", "authorization": f"Bearer {first.key}"}
            sent = route.request(world, headers=headers, parameters=chosen)
            problem(send(sent), 401, "key_wrong_agent")
        elif RUNTIME_KEY not in route.families:
            is_of_another_family(route, world, first.key)


def test_a_governed_action_has_a_credential_that_opens_nothing_by_itself(world: World) -> None:
    """Governed action: approval credential; environment + spec hash + capability scope."""
    assert not [route for route, row in TABLE.items() if APPROVAL in row.families]
    for route in WITH_CREDENTIAL:
        is_of_another_family(route, world, world.credential(APPROVAL))


# ------------------------------------------------------------------ the sentences below the table


def test_enrollment_tokens_are_not_long_lived_agent_secrets(world: World) -> None:
    """Enrollment tokens are not long-lived agent secrets."""
    token = world.tenant.mint(ttl_seconds=60)
    enrolled = world.tenant.exchange(token["token"])
    assert enrolled.body["runtime_key"] != token["token"]
    agent = enrolled.body["agent_id"]
    for method, path, body in [
        ("POST", "telemetry/heartbeat", {"sequence": 1, "nonce": "n" * 20, "instance": "i" * 20}),
        ("POST", "artifacts", artifact_wish()),
    ]:
        answer = call(world, token["token"], method, f"/agents/{agent}/{path}", body)
        assert (answer.status, answer.code) == (401, "wrong_credential_family")
    longest = world.tenant.call(
        "POST",
        "/agent-enrollment/tokens",
        {"environment": world.tenant.environment, "ttl_seconds": 30 * 86_400 + 1},
    )
    assert longest.status == 400


@pytest.mark.parametrize("route", OF_PEOPLE_ONLY, ids=str)
def test_organization_api_keys_are_not_substitutes_for_human_rbac(
    world: World, route: Route
) -> None:
    """Organization API keys are not substitutes for human RBAC."""
    raw = organization_key_with(world.tenant, set(organization_key.SCOPES))
    is_of_another_family(route, world, raw)


def test_people_roles_and_keys_are_changed_by_people_alone() -> None:
    """Organization API keys are not substitutes for human RBAC."""
    writes = {
        route
        for route, row in TABLE.items()
        if not route.startswith("GET") and ORGANIZATION_KEY in row.families
    }
    nouns = ("members", "invitations", "organization-keys", "/me", "/auth/")
    assert not [route for route in writes if any(noun in route for noun in nouns)]


def test_an_organization_key_is_recorded_as_itself_and_never_as_the_person_who_made_it(
    world: World,
) -> None:
    """Organization API keys are not substitutes for human RBAC."""
    made = world.admin.call(
        "POST", "/organization-keys", {"name": "ci", "scopes": ["enrollment:write"]}
    ).body
    mint = {"environment": world.tenant.environment}
    minted = call(world, made["organization_key"], "POST", "/agent-enrollment/tokens", mint).body
    (record,) = world.tenant.audit("enrollment_token", minted["enrollment_token_id"])
    assert record["actor"]["type"] == "organization_key"
    assert record["actor"]["id"] == made["organization_key_id"]


def test_an_organization_key_cannot_accept_an_invitation_as_a_person(world: World) -> None:
    """Organization API keys are not substitutes for human RBAC."""
    invited = world.admin.call("POST", "/invitations", {"role": "org_admin"}).body
    for family in sorted(set(FAMILIES) - {SESSION}):
        body = {"invitation": invited["invitation"]}
        answer = call(world, world.credential(family), "POST", "/invitations/accept", body)
        assert (answer.status, answer.code) == (401, "wrong_credential_family"), family


def test_a_key_whose_prefix_is_changed_is_neither_an_agent_nor_a_person(world: World) -> None:
    """Automation that should not impersonate an enrolled agent; nor a person."""
    raw = organization_key_with(world.tenant, set(organization_key.SCOPES))
    # The checksum covers the prefix: even a correct one finds no row of another family.
    outcome = organization_key.FAMILY.read(raw).claims  # type: ignore[union-attr]
    for prefix in (SESSION, PERSONAL_TOKEN, RUNTIME_KEY):
        disguised = [
            prefix + raw[4:],
            OpaqueFamily(prefix, "any").issue(outcome.organization, outcome.id),
        ]
        path, route = "/agents", of("GET", "/api/v1/agents")
        if prefix == RUNTIME_KEY:
            path, route = "/telemetry/heartbeat", of("POST", f"{AGENT}/telemetry/heartbeat")
        for credential in disguised:
            answer = bearer(route, world, credential)
            problem(answer, 401)
            assert answer.code in {"credential_invalid", "key_invalid"}, path


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
def test_approval_credentials_are_not_general_api_credentials(world: World, route: Route) -> None:
    """Approval credentials are not general API credentials."""
    is_of_another_family(route, world, world.credential(APPROVAL))


# ----------------------------------------------------------------------- approval-aware access


def test_an_approval_credential_replaces_no_role(world: World) -> None:
    """Approval-sensitive operations add another layer on top of normal RBAC."""
    for method, path, body in [
        ("GET", "/agents", None),
        ("POST", "/agent-enrollment/tokens", MINT),
        ("GET", "/me", None),
    ]:
        answer = call(world, world.credential(APPROVAL), method, path, body)
        assert (answer.status, answer.code) == (401, "wrong_credential_family")
