"""A cursor serves the tenant, the list and the query that it was handed out for, and no other."""

import itertools
from collections.abc import Iterator

import pytest

from tests.functional.gateway import problem, send
from tests.functional.people import person
from tests.functional.routes import LISTS, Route, of
from tests.functional.routes_organizations import ENVIRONMENTS, ORGANIZATIONS, PROJECTS
from tests.functional.routes_people import INVITATIONS
from tests.functional.world import World, artifact_wish, new_world, running_api


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


def cursor_of(world: World, route: Route) -> str:
    """A cursor that a list has handed out."""
    if route.path.endswith("/artifacts"):
        announced = world.host.call("POST", "/artifacts", artifact_wish(b"for a second page"))
        assert announced.status == 201
    if route.path.endswith("/members"):
        person(world.tenant, "viewer", projects={world.tenant.project: "viewer"})
    if route.path in {ORGANIZATIONS, PROJECTS, ENVIRONMENTS, INVITATIONS}:
        assert send(of("POST", route.path).request(world)).status == 201
    cursor = send(route.request(world, query={"limit": ["1"]})).body["next_cursor"]
    assert isinstance(cursor, str)
    return cursor


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_a_cursor_serves_its_own_tenant_and_query_alone(
    mine: World, theirs: World, route: Route
) -> None:
    cursor = cursor_of(mine, route)
    query = {"limit": ["1"], "cursor": [cursor]}
    assert send(route.request(mine, query=query)).status == 200
    problem(send(route.request(theirs, query=query)), 400, "cursor_invalid")
    other = send(route.request(mine, query={**query, "limit": ["2"]}))
    problem(other, 400, "cursor_invalid")
    for name in set(route.query) - {"limit", "cursor"}:
        value = {"status": "active", "label": "a=b", "order": "oldest"}.get(name, "x")
        if route.path.endswith("/agents") and name == "status":
            value = "online"
        problem(send(route.request(mine, query={**query, name: [value]})), 400)


@pytest.mark.parametrize(
    ("route", "other"), list(itertools.permutations(LISTS, 2)), ids=lambda route: route.path
)
def test_a_cursor_of_one_list_is_refused_by_another(
    mine: World, route: Route, other: Route
) -> None:
    query = {"limit": ["1"], "cursor": [cursor_of(mine, route)]}
    problem(send(other.request(mine, query=query)), 400, "cursor_invalid")


def test_a_cursor_of_one_agents_artifacts_is_refused_by_anothers(mine: World) -> None:
    artifacts = of("GET", "/api/v1/agents/{agent_id}/artifacts")
    query = {"limit": ["1"], "cursor": [cursor_of(mine, artifacts)]}
    other = mine.tenant.enroll(hostname="another").agent_id
    answer = send(artifacts.request(mine, query=query, parameters={"agent_id": other}))
    problem(answer, 400, "cursor_invalid")
