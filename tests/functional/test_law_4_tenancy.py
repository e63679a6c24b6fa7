"""Law 4: another organization's identifier is worth what a made-up one is."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib import ids
from chalicelib.credentials import enrollment_token, organization_key, runtime_key
from chalicelib.credentials.runtime_key import RuntimeClaims
from tests.functional.gateway import RawAnswer, Sent, problem, send
from tests.functional.routes import ENROLLMENT, LISTS, ROUTES, WITH_BODY, WITH_ID, Route, of
from tests.functional.world import (
    World,
    new_world,
    running_api,
)

KINDS = {
    "enrollment_token_id": "tok", "agent_id": "agt", "artifact_id": "art", "job_id": "job",
    "export_id": "job", "session_id": "ses", "personal_token_id": "pat",
    "organization_id": "org", "project_id": "prj", "environment_id": "env",
    "user_id": "usr", "invitation_id": "inv", "organization_key_id": "key",
}  # fmt: skip
NO_IDENTIFIER = {
    "ttl_seconds", "max_uses", "hostname", "source_cidrs", "labels", "note", "cascade", "token",
    "name", "machine_id", "os", "arch", "agent_version", "csr", "sequence", "nonce", "instance",
    # An export of what another tenant has is empty, and says no more: see its own tests.
    "since", "until", "resource_type", "resource_id",
    "heartbeat_interval_seconds", "slowdown_seconds", "agent_rollout_percent",
    "replace_machine", "replace_offline_seconds", "facts", "facts_sha256", "decision",
    # A successor is named with its own key: see test_succession.
    "successor",
    # The projects of an invitation are named by the keys of a map: see test_invitations.
    "role", "projects", "scopes", "overlap_seconds", "invitation", "username", "password",
    "display_name", "cookie", "keep_current", "current_password", "new_password",
    "issuer", "client_id", "client_secret", "groups_claim", "group_roles", "status",
    "unpersisted", "kind", "filename", "size", "sha256", "content_type", "metadata",
}  # fmt: skip


@pytest.fixture(scope="module")
def worlds(stack: dict[str, str]) -> Iterator[tuple[World, World]]:
    assert stack
    with running_api() as api:
        yield new_world(api), new_world(api)


@pytest.fixture(scope="module")
def mine(worlds: tuple[World, World]) -> World:
    return worlds[0]


@pytest.fixture(scope="module")
def theirs(worlds: tuple[World, World]) -> World:
    return worlds[1]


def same(first: RawAnswer, second: RawAnswer) -> None:
    """Byte by byte the same, but for the number of the request."""
    assert first.status == second.status
    assert first.headers == second.headers
    assert first.text.replace(first.request_id, "") == second.text.replace(second.request_id, "")


def test_every_identifier_in_a_path_has_a_kind() -> None:
    assert {name for route in ROUTES for name in route.parameters} == set(KINDS)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_every_member_of_a_body_is_known_to_name_something_or_nothing(route: Route) -> None:
    assert route.kind is not None
    members = {member.name for member in msgspec.structs.fields(route.kind)}
    assert members - set(route.ids_in_body) <= NO_IDENTIFIER


def in_path() -> list[Any]:
    """Every route with identifiers, with every choice of those that are another tenant's."""
    return [
        pytest.param(route, foreign, id=f"{route}-{'+'.join(foreign)}")
        for route in WITH_ID
        for count in range(1, len(route.parameters) + 1)
        for foreign in itertools.combinations(route.parameters, count)
    ]


@pytest.mark.parametrize(("route", "foreign"), in_path())
def test_a_foreign_identifier_in_a_path_is_answered_like_a_made_up_one(
    mine: World, theirs: World, route: Route, foreign: tuple[str, ...]
) -> None:
    own = {name: mine.parameters[name] for name in route.parameters}
    real = {**own, **{name: theirs.parameters[name] for name in foreign}}
    made_up = {**own, **{name: ids.new(KINDS[name]) for name in foreign}}
    for family in route.families:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {mine.credential(family)}",
        }
        answers = [
            send(route.request(mine, parameters=chosen, headers=headers))
            for chosen in (real, made_up)
        ]
        if family == "rca_" and "agent_id" in foreign:
            problem(answers[0], 401, "key_wrong_agent")
        else:
            problem(answers[0], 404)
        same(*answers)


@pytest.mark.parametrize("route", WITH_ID, ids=str)
def test_the_own_identifier_is_answered_otherwise(mine: World, route: Route) -> None:
    if route.ends:
        pytest.skip("it would end what the other tests use")
    if "heartbeat" in route.path:
        mine.tenant.api.clock.advance(seconds=60)
    assert send(route.request(mine)).status in route.answers


@pytest.mark.parametrize(
    ("route", "name"), [(route, name) for route in ROUTES for name in route.ids_in_query], ids=str
)
def test_a_foreign_identifier_in_a_query_is_answered_like_a_made_up_one(
    mine: World, theirs: World, route: Route, name: str
) -> None:
    prefix = route.ids_in_query[name]
    own, real = (
        {
            "env": world.tenant.environment,
            "prj": world.tenant.project,
            "agt": world.host.agent_id,
            "tok": world.token["enrollment_token_id"],
        }[prefix]
        for world in (mine, theirs)
    )
    more = {"resource_type": ["agent"]} if name == "resource_id" else {}
    first, second, control = (
        send(route.request(mine, query={**more, name: [chosen]}))
        for chosen in (real, ids.new(prefix), own)
    )
    assert first.status == 200
    assert first.body.pop("next_cursor") is None
    assert list(first.body.values()) == [[]]
    same(first, second)
    assert control.status == 200
    assert first.text != control.text


@pytest.mark.parametrize(
    ("route", "name"), [(route, name) for route in ROUTES for name in route.ids_in_body], ids=str
)
def test_a_foreign_identifier_in_a_body_is_answered_like_a_made_up_one(
    mine: World, theirs: World, route: Route, name: str
) -> None:
    assert route.body is not None
    real = {
        "org": theirs.tenant.organization,
        "env": theirs.tenant.environment,
        "prj": theirs.tenant.project,
        "col": theirs.host.enrollment["collector_id"],
        "ast": theirs.host.enrollment["asset_id"],
        "agt": theirs.host.agent_id,
    }[route.ids_in_body[name]]
    answers = [
        send(route.request(mine, body=json.dumps({**route.body(mine), name: chosen})))
        for chosen in (real, ids.new(route.ids_in_body[name]))
    ]
    problem(answers[0])
    same(*answers)


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_a_list_shows_nothing_of_another_tenant(mine: World, theirs: World, route: Route) -> None:
    listed = send(route.request(mine)).text
    for identifier in (*theirs.parameters.values(), theirs.tenant.organization):
        if identifier != theirs.artifact:
            assert identifier not in listed
    assert send(route.request(theirs)).text != listed


def bearer(route: Route, world: World, credential: str) -> RawAnswer:
    """The route's good request under another credential."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {credential}"}
    return send(route.request(world, headers=headers))


def test_a_forged_token_learns_nothing_of_the_real_one(theirs: World) -> None:
    exchange = of("POST", f"{ENROLLMENT}/exchange")
    forged, made_up, nowhere = (
        enrollment_token.FAMILY.issue(organization, token)
        for organization, token in (
            (theirs.tenant.organization, theirs.token["enrollment_token_id"]),
            (theirs.tenant.organization, ids.new("tok")),
            (ids.new("org"), theirs.token["enrollment_token_id"]),
        )
    )
    answers = [bearer(exchange, theirs, raw) for raw in (forged, made_up, nowhere)]
    problem(answers[0], 401, "credential_invalid")
    same(answers[0], answers[1])
    same(answers[0], answers[2])


def test_a_forged_operator_key_learns_nothing_of_the_real_one(mine: World, theirs: World) -> None:
    agents = of("GET", "/api/v1/agents")
    outcome = organization_key.FAMILY.read(theirs.tenant.key)
    real = outcome.claims.id  # type: ignore[union-attr]
    issue = organization_key.FAMILY.issue
    answers = [
        bearer(agents, mine, raw)
        for raw in (
            issue(theirs.tenant.organization, real),
            issue(theirs.tenant.organization, ids.new("key")),
            issue(mine.tenant.organization, real),
            issue(ids.new("org"), real),
        )
    ]
    problem(answers[0], 401, "credential_invalid")
    for answer in answers[1:]:
        same(answers[0], answer)


def test_a_signed_key_of_an_agent_that_another_tenant_has_is_worth_nothing(
    mine: World, theirs: World
) -> None:
    # Not even with the signing secret: the organization is in the key of the row.
    from chalicelib import runtime

    now = runtime.current()
    answers = []
    for agent in (theirs.host.agent_id, ids.new("agt")):
        raw = runtime_key.issue(
            now.keyring,
            RuntimeClaims(
                organization=mine.tenant.organization,
                environment=mine.tenant.environment,
                agent=agent,
                collector=ids.new("col"),
                asset=ids.new("ast"),
                issued_at=now.clock(),
                expires_at=now.clock() + 1_000,
            ),
        )
        for route in ROUTES:
            if "rca_" in route.families:
                parameters = {**mine.parameters, "agent_id": agent}
                chosen = {name: parameters[name] for name in route.parameters}
                headers = {"content-type": "application/json", "authorization": f"Bearer {raw}"}
                answers.append(send(route.request(mine, parameters=chosen, headers=headers)))
    half = len(answers) // 2
    for first, second in zip(answers[:half], answers[half:], strict=True):
        problem(first, 404, "agent_not_found")
        same(first, second)


def test_nothing_of_the_other_tenant_was_changed(mine: World, theirs: World) -> None:
    for route in ROUTES:
        if route.method != "GET" and route.parameters:
            chosen = {name: theirs.parameters[name] for name in route.parameters}
            problem(send(route.request(mine, parameters=chosen)))
    tenant, host = theirs.tenant, theirs.host
    agent = tenant.call("GET", f"/agents/{host.agent_id}").body
    assert (agent["labels"], agent["revoked_at"]) == ({}, None)
    token = tenant.call("GET", f"/agent-enrollment/tokens/{theirs.token['enrollment_token_id']}")
    assert (token.body["status"], token.body["uses"]) == ("active", 0)
    happened = {record["event"] for record in tenant.audit("agent", host.agent_id)}
    assert happened == {"agent.enrolled", "agent.online"}


def test_the_tenant_comes_from_the_credential_and_from_nowhere_else(
    mine: World, theirs: World
) -> None:
    headers = {
        "authorization": f"Bearer {mine.tenant.key}",
        "x-organization": theirs.tenant.organization,
        "x-rollcall-organization": theirs.tenant.organization,
    }
    answer = send(Sent("GET", "/api/v1/agents", headers=headers))
    assert {agent["agent_id"] for agent in answer.body["agents"]}.isdisjoint({theirs.host.agent_id})
    for name in ("organization", "org", "tenant"):
        query = {name: [theirs.tenant.organization]}
        problem(send(Sent("GET", "/api/v1/agents", headers=headers, query=query)), 400)
