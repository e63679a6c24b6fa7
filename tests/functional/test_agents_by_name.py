"""Finding an agent by its whole name: one question, however many environments there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests

ENVIRONMENTS = 31


def environment(tenant: Tenant, name: str) -> str:
    """Another environment of the tenant."""
    made = tenant.call("POST", "/environments", {"project": tenant.project, "name": name})
    assert made.status == 201, made.body
    identifier: str = made.body["environment_id"]
    return identifier


def enroll(tenant: Tenant, name: str, *, within: str | None = None) -> Host:
    """An agent of a name, in an environment."""
    token = tenant.mint(environment=within or tenant.environment)
    made = tenant.exchange(token["token"], name=name)
    assert made.status == 201, made.body
    return Host(tenant.api, made.body["agent_id"], made.body["runtime_key"], made.body)


def revoke(tenant: Tenant, host: Host) -> None:
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").status == 200


def found(tenant: Tenant, name: str, more: str = "") -> list[tuple[str, str]]:
    """Who has a name: agents and how they are."""
    answer = tenant.call("GET", f"/agents?exact_name={name}{more}")
    assert answer.status == 200, answer.body
    assert answer.body["next_cursor"] is None
    return [(row["agent_id"], row["status"]) for row in answer.body["agents"]]


def test_a_name_costs_as_many_requests_in_31_environments_as_in_one(tenant: Tenant) -> None:
    host = enroll(tenant, "web-1", within=environment(tenant, "last"))
    enroll(tenant, "web-10")
    costs: list[list[str]] = []
    for made in (0, ENVIRONMENTS - 2):
        for number in range(made):
            environment(tenant, f"more-{number}")
        with database_requests() as seen:
            assert found(tenant, "web-1") == [(host.agent_id, "enrolled")]
        costs.append(list(seen))
    assert costs[0] == costs[1]
    # Names, identities, presence: who asks and the environments come before.
    assert costs[1].count("BatchGetItem") <= 4, costs[1]
    assert costs[1].count("Query") <= 1, costs[1]
    with database_requests() as seen:
        assert found(tenant, "no-such-name") == []
    assert len(seen) < len(costs[1])


@pytest.mark.parametrize("written", ["web-1", "WEB-1", "Web-1"])
def test_a_name_is_found_whole_and_without_regard_to_case(tenant: Tenant, written: str) -> None:
    host = enroll(tenant, "Web-1")
    for other in ("web-10", "web", "aweb-1"):
        enroll(tenant, other)
    assert found(tenant, written) == [(host.agent_id, "enrolled")]


@pytest.mark.parametrize("nothing", ["", "web", "web-1%23x", "%25", "w%C3%A9b", "machine"])
def test_what_is_no_agents_name_finds_nothing(tenant: Tenant, nothing: str) -> None:
    enroll(tenant, "web-1")
    assert found(tenant, nothing) == []


def test_an_agent_is_found_in_each_environment_that_has_one(tenant: Tenant) -> None:
    two = environment(tenant, "two")
    hosts = {enroll(tenant, "web-1").agent_id, enroll(tenant, "web-1", within=two).agent_id}
    assert {agent for agent, _ in found(tenant, "web-1")} == hosts
    (only,) = found(tenant, "web-1", f"&environment={two}")
    assert only[0] in hosts


def test_a_page_goes_on_where_the_one_before_ended(tenant: Tenant) -> None:
    hosts = {enroll(tenant, "web-1").agent_id}
    for name in ("two", "three"):
        hosts.add(enroll(tenant, "web-1", within=environment(tenant, name)).agent_id)
    seen: list[str] = []
    path = "/agents?exact_name=web-1&limit=2"
    cursor: str | None = ""
    while cursor is not None:
        answer = tenant.call("GET", f"{path}{cursor}").body
        seen += [row["agent_id"] for row in answer["agents"]]
        cursor = f"&cursor={answer['next_cursor']}" if answer["next_cursor"] else None
    assert (len(seen), set(seen)) == (3, hosts)


def test_a_revoked_agent_has_its_name_until_another_one_takes_it(
    tenant: Tenant, clock: FrozenClock
) -> None:
    first = enroll(tenant, "web-1")
    revoke(tenant, first)
    assert found(tenant, "web-1") == [(first.agent_id, "revoked")]
    assert found(tenant, "web-1", "&status=online") == []
    second = enroll(tenant, "WEB-1")
    assert found(tenant, "web-1") == [(second.agent_id, "enrolled")]
    clock.advance(seconds=1)
    revoke(tenant, second)
    assert found(tenant, "web-1") == [(second.agent_id, "revoked")]
    third = enroll(tenant, "other")
    assert tenant.call("PATCH", f"/agents/{third.agent_id}", {"name": "web-1"}).status == 200
    assert found(tenant, "web-1") == [(third.agent_id, "enrolled")]
    assert found(tenant, "other") == []


def test_an_agent_that_left_the_lists_is_not_found(tenant: Tenant) -> None:
    living, revoked = enroll(tenant, "living"), enroll(tenant, "revoked")
    revoke(tenant, revoked)
    for host in (living, revoked):
        assert tenant.call("POST", f"/agents/{host.agent_id}/decommission").status == 200
    assert found(tenant, "living") == found(tenant, "revoked") == []
    # And both names are free.
    assert found(tenant, "living") == []
    for name in ("living", "revoked"):
        host = enroll(tenant, name)
        assert found(tenant, name) == [(host.agent_id, "enrolled")]


def test_another_organizations_agents_are_not_found(tenant: Tenant, other_tenant: Tenant) -> None:
    enroll(other_tenant, "web-1")
    assert found(tenant, "web-1") == []
    assert found(tenant, "web-1", f"&environment={other_tenant.environment}") == []


@pytest.mark.parametrize(
    "query", ["exact_name=a&name=a", f"exact_name={'a' * 64}", "exact_name=a&exact_name=b"]
)
def test_a_query_that_means_nothing_is_refused(tenant: Tenant, query: str) -> None:
    answer: Any = tenant.call("GET", f"/agents?{query}")
    assert (answer.status, answer.code) == (400, "query_invalid")
