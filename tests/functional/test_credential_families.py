"""Five families of credentials, never interchangeable."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import ids, runtime
from chalicelib.credentials import organization_key, runtime_key
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, problem, send
from tests.functional.routes import AGENT, ROUTES, WITH_CREDENTIAL, Route, of
from tests.functional.world import (
    World,
    artifact_wish,
    new_world,
    organization_key_with,
    running_api,
)

FAMILIES = ("rcs_", "rcp_", "rco_", "rce_", "rca_", "rcv_")
WITH_SCOPE = tuple(route for route in WITH_CREDENTIAL if route.scope)
OF_AGENTS = tuple(route for route in WITH_CREDENTIAL if "rca_" in route.families)
CHALLENGE = 'Bearer realm="rollcall"'


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def bearer(route: Route, world: World, credential: str, **changed: Any) -> RawAnswer:
    """The route's good request under another credential."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {credential}"}
    return send(route.request(world, headers=headers, **changed))


PUBLIC = {
    "/healthz",
    "/readyz",
    "/install/install.sh",
    "/install/install.ps1",
    "/agent/manifest",
    "/agent/binary",
    "/api/auth/login",
    "/api/v1/auth/login",
    "/api/v1/auth/oidc/{organization_id}/start",
    "/api/v1/auth/oidc/{organization_id}/callback",
    "/api/v1/invitations/accept",
}


def test_only_health_installing_and_logging_in_ask_for_no_credential() -> None:
    assert {route.path for route in ROUTES if not route.families} == PUBLIC


def test_every_scope_of_organization_keys_is_asked_for_by_a_route() -> None:
    assert {route.scope for route in WITH_SCOPE} == organization_key.SCOPES


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_credential_of_another_family_is_refused_without_a_request(
    world: World, route: Route, family: str
) -> None:
    if family in route.families:
        return
    with database_requests() as seen:
        answer = bearer(route, world, world.credential(family))
    problem(answer, 401, "wrong_credential_family")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert seen == []


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prefix_does_not_make_another_family_of_a_credential(
    world: World, route: Route, family: str
) -> None:
    own = route.families[0]
    disguised = own + world.credential(family)[4:]
    if family == own:
        return
    with database_requests() as seen:
        answer = bearer(route, world, disguised)
    problem(answer, 401)
    assert answer.code in {"credential_invalid", "key_invalid"}
    assert seen == []


@pytest.mark.parametrize("route", WITH_SCOPE, ids=str)
def test_an_organization_key_without_the_scope_is_refused(world: World, route: Route) -> None:
    every_other = organization_key.SCOPES - {str(route.scope)}
    for scopes in (every_other, set(), {"*"}, {"agents"}, {f"{route.scope}:all"}):
        answer = bearer(route, world, organization_key_with(world.tenant, set(scopes)))
        problem(answer, 403, "scope_missing")
        assert str(route.scope) in answer.body["detail"]


@pytest.mark.parametrize("route", WITH_SCOPE, ids=str)
def test_an_organization_key_with_just_the_scope_is_admitted(world: World, route: Route) -> None:
    raw = organization_key_with(world.tenant, {str(route.scope)})
    # Something that is not there: nothing of the world ends by this.
    nowhere = dict.fromkeys(route.parameters, "none")
    assert bearer(route, world, raw, parameters=nowhere).status in {200, 201, 202, 404}


@pytest.mark.parametrize("route", WITH_SCOPE, ids=str)
def test_an_organization_key_that_was_ended_is_refused(world: World, route: Route) -> None:
    raw = organization_key_with(world.tenant, set(organization_key.SCOPES), status="revoked")
    problem(bearer(route, world, raw), 401, "credential_revoked")


@pytest.mark.parametrize("route", OF_AGENTS, ids=str)
def test_the_key_of_another_agent_is_refused_without_a_request(world: World, route: Route) -> None:
    other = world.tenant.enroll(hostname="other")
    with database_requests() as seen:
        answer = bearer(route, world, other.key)
    problem(answer, 401, "key_wrong_agent")
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert seen == []


def signed(world: World, **changed: Any) -> str:
    """A key under the real signing secret, whose hash stands in no row."""
    now = runtime.current()
    claims: dict[str, Any] = {
        "organization": world.tenant.organization,
        "environment": world.tenant.environment,
        "agent": world.host.agent_id,
        "collector": world.host.enrollment["collector_id"],
        "asset": world.host.enrollment["asset_id"],
        "issued_at": now.clock(),
        "expires_at": now.clock() + 60_000,
        **changed,
    }
    return runtime_key.issue(now.keyring, RuntimeClaims(**claims))


@pytest.mark.parametrize("route", OF_AGENTS, ids=str)
def test_the_signature_alone_is_no_authority(world: World, route: Route) -> None:
    problem(bearer(route, world, signed(world)), 401, "key_superseded")


@pytest.mark.parametrize("route", OF_AGENTS, ids=str)
def test_an_expired_key_is_refused_without_a_request(world: World, route: Route) -> None:
    now = runtime.current().clock()
    for end in (now, now - 1, 0):
        with database_requests() as seen:
            answer = bearer(route, world, signed(world, expires_at=end))
        problem(answer, 401, "key_expired")
        assert seen == []


@pytest.mark.parametrize("route", OF_AGENTS, ids=str)
def test_a_key_of_an_agent_that_is_nowhere_is_told_so(world: World, route: Route) -> None:
    agent = ids.new("agt")
    parameters = {name: world.parameters[name] for name in route.parameters} | {"agent_id": agent}
    answer = bearer(route, world, signed(world, agent=agent), parameters=parameters)
    problem(answer, 404, "agent_not_found")


def test_every_change_to_a_runtime_key_is_noticed_without_a_request(world: World) -> None:
    beat = of("POST", f"{AGENT}/telemetry/heartbeat")
    good = world.host.key
    for place in range(len(good)):
        other = "A" if good[place] != "A" else "B"
        with database_requests() as seen:
            answer = bearer(beat, world, good[:place] + other + good[place + 1 :])
        problem(answer, 401)
        assert answer.code in {"key_invalid", "credential_invalid"}
        assert seen == []


def test_a_runtime_key_without_the_scope_of_a_route_is_refused(world: World) -> None:
    host = world.tenant.enroll(hostname="scoped")
    assert host.beat().status == 200
    pk = f"{world.tenant.organization}#{host.agent_id}"
    item = AgentPresenceItem
    item(pk).update([item.scopes.set({"agent:artifact_upload"})])
    world.tenant.api.clock.advance(seconds=60)
    refused = host.beat()
    assert (refused.status, refused.code) == (403, "scope_missing")
    assert host.call("POST", "/artifacts", artifact_wish()).status == 201
    item(pk).update([item.scopes.set({"agent:heartbeat"})])
    assert host.beat().status == 200
    refused = host.call("POST", "/artifacts", artifact_wish())
    assert (refused.status, refused.code) == (403, "scope_missing")


def test_an_artifact_is_shown_to_its_agent_and_to_operators(world: World) -> None:
    route = of("GET", f"{AGENT}/artifacts/{{artifact_id}}")
    shown = [bearer(route, world, world.credential(family)) for family in ("rca_", "rco_")]
    assert [answer.status for answer in shown] == [200, 200]
    assert shown[0].body == shown[1].body


@pytest.mark.parametrize("route", [of("GET", path) for path in ("/healthz", "/readyz")], ids=str)
def test_health_is_told_to_everybody(world: World, route: Route) -> None:
    for credential in ("x", world.tenant.key, world.host.key):
        assert bearer(route, world, credential).status == 200


def test_the_scheme_is_read_without_regard_to_case(world: World) -> None:
    route = of("GET", "/api/v1/agents")
    for header in (f"bearer {world.tenant.key}", f"BEARER   {world.tenant.key}  "):
        assert send(route.request(world, headers={"Authorization": header})).status == 200
