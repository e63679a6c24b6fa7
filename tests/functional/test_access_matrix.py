"""Every route, called by every family and every role: the outcome is what the table says.

The requests are good but for a query parameter that no view knows: whoever is admitted is told
`query_invalid` by the view, and nothing changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chalicelib.api.access import FAMILIES, ROUTES, Access
from chalicelib.credentials import organization_key
from chalicelib.permissions import MATRIX, PROJECT_ROLES, Permission, Role, permitted, view_of
from tests.functional.gateway import RawAnswer, send
from tests.functional.laws.request_counter import counted
from tests.functional.people import Person, person, personal_token
from tests.functional.route import Route
from tests.functional.routes import ROUTES as ALL
from tests.functional.routes import WITH_CREDENTIAL
from tests.functional.world import World, new_world, organization_key_with, running_api

ADMITTED = (400, "query_invalid")
IN_GUARD = tuple(route for route in WITH_CREDENTIAL if not route.access.in_view)
FOR_PEOPLE = tuple(route for route in IN_GUARD if "rcs_" in route.families)
ROLES: tuple[Role | None, ...] = (None, *Role)
OWN_ROLES: tuple[Role | None, ...] = (None, *PROJECT_ROLES)
ELSEWHERE = "prj_" + "0" * 20


@dataclass
class Cast:
    """A world, and a person for every combination of roles."""

    world: World
    people: dict[tuple[Role | None, Role | None], Person]
    elsewhere: Person


@pytest.fixture(scope="module")
def cast(stack: dict[str, str]) -> Iterator[Cast]:
    assert stack
    with running_api() as api:
        world = new_world(api)
        tenant = world.tenant
        people = {
            (role, own): person(tenant, role, projects={tenant.project: own} if own else {})
            for role in ROLES
            for own in OWN_ROLES
        }
        yield Cast(world, people, person(tenant, projects={ELSEWHERE: "project_admin"}))


def outcome(route: Route, world: World, credential: str) -> tuple[int, str | None]:
    headers = {"content-type": "application/json", "authorization": f"Bearer {credential}"}
    answer: RawAnswer = send(
        route.request(world, headers=headers, query={"nobody-reads-this": ["1"]})
    )
    return answer.status, answer.code


def expected(
    access: Access, role: Role | None, own: Role | None, elsewhere: Role | None = None
) -> tuple[int, str | None]:
    """What the table says of a person with these roles."""
    permission = access.permission
    missing = (403, "permission_missing")
    if permission is None:
        return ADMITTED
    if access.anywhere:
        somewhere = [permitted(permission, role, other) for other in (None, own, elsewhere)]
        return ADMITTED if any(somewhere) else missing
    if access.place is None:
        return ADMITTED if permitted(permission, role, None) else missing
    if not permitted(view_of(permission), role, own):
        return 404, f"{access.place.kind}_not_found"
    return ADMITTED if permitted(permission, role, own) else missing


@pytest.mark.parametrize("route", IN_GUARD, ids=str)
def test_only_the_families_of_the_table_are_admitted(cast: Cast, route: Route) -> None:
    for family in FAMILIES:
        found = outcome(route, cast.world, cast.world.credential(family))
        if family in route.families:
            assert found == ADMITTED, family
        else:
            assert found == (401, "wrong_credential_family"), family


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=str)
def test_a_person_may_what_the_table_says_of_each_role(cast: Cast, route: Route) -> None:
    for (role, own), someone in cast.people.items():
        found = outcome(route, cast.world, someone.session)
        assert found == expected(route.access, role, own), (role, own)


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=str)
def test_a_role_in_another_project_is_none_here(cast: Cast, route: Route) -> None:
    found = outcome(route, cast.world, cast.elsewhere.session)
    assert found == expected(route.access, None, None, Role.PROJECT_ADMIN)


@pytest.mark.parametrize("route", IN_GUARD, ids=str)
def test_a_scope_is_asked_of_keys_and_personal_tokens(cast: Cast, route: Route) -> None:
    tenant, admin = cast.world.tenant, cast.world.admin
    scope = route.access.scope
    for scopes in (set(), {scope or "none"}, organization_key.SCOPES - {scope}):
        held = scope is None or scope in scopes
        wanted = ADMITTED if held else (403, "scope_missing")
        if "rco_" in route.families:
            raw = organization_key_with(tenant, set(scopes))
            assert outcome(route, cast.world, raw) == wanted, scopes
        if "rcp_" in route.families:
            raw, _ = personal_token(tenant, admin.user, set(scopes))
            assert outcome(route, cast.world, raw) == wanted, scopes


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=str)
def test_a_personal_token_gives_no_more_than_its_person_may(cast: Cast, route: Route) -> None:
    if "rcp_" not in route.families:
        return
    viewer = cast.people[Role.VIEWER, None]
    raw, _ = personal_token(cast.world.tenant, viewer.user, set(organization_key.SCOPES))
    assert outcome(route, cast.world, raw) == expected(route.access, Role.VIEWER, None)


@pytest.mark.parametrize("route", FOR_PEOPLE, ids=str)
def test_an_operator_is_authorized_by_one_strong_read_of_keys(cast: Cast, route: Route) -> None:
    for family in set(route.families) - {"rca_"}:
        credential = cast.world.credential(family)
        outcome(route, cast.world, credential)  # tells when the credential was last used
        with counted() as requests:
            assert outcome(route, cast.world, credential) == ADMITTED
        assert requests.operations == ["BatchGetItem"], family
        assert not requests.sent[0].eventually_consistent


def test_the_table_and_the_routes_of_the_tests_are_one_set() -> None:
    assert {str(route) for route in ALL} == set(ROUTES)


def test_every_permission_is_asked_for_by_a_route() -> None:
    # Operating a project comes with deployments; the others are all in use.
    asked = {access.permission for access in ROUTES.values()} - {None}
    assert asked == set(Permission) - {Permission.OPERATE_PROJECT}


def test_a_role_that_nobody_knows_gives_nothing(cast: Cast) -> None:
    tenant = cast.world.tenant
    (agents,) = (route for route in ALL if str(route) == "GET /api/v1/agents/{agent_id}")
    for role, own in (("root", None), ("org_admin ", None), ("viewer", "root")):
        someone = person(tenant, role, projects={tenant.project: own} if own else {})
        assert outcome(agents, cast.world, someone.session) == (404, "agent_not_found")


def test_every_role_of_the_matrix_sees() -> None:
    # The third rule: a permission on an environment also needs the view of its project.
    for held in MATRIX.values():
        assert {Permission.VIEW_PROJECT, Permission.VIEW_ENVIRONMENT} <= held
