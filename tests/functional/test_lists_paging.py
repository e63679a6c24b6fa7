"""Lists: filters, order, and pages without gaps or repetitions."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from chalicelib.store import (
    agent_identities,
    enrollment_tokens,
    organizations,
    presence_writes,
)
from chalicelib.store.transaction import Transaction
from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.world import running_api


@pytest.fixture(scope="module")
def shared(stack: dict[str, str]) -> Iterator[Api]:
    assert stack
    with running_api() as client:
        yield client


def new_environment(tenant: Tenant, name: str) -> str:
    """Another environment of the tenant."""
    environment = ids.new(ids.ENVIRONMENT)
    transaction = Transaction()
    organizations.put_new(
        transaction,
        tenant.organization,
        f"environment#{environment}",
        name=name,
        project=tenant.project,
        heartbeat_interval=60,
        created_at=tenant.api.clock.now,
    )
    assert transaction.write() is None
    return environment


def pages(tenant: Tenant, path: str, member: str, *, at_most: int = 200) -> list[list[Any]]:
    """All pages of a list, followed by its cursors."""
    found: list[list[Any]] = []
    separator = "&" if "?" in path else "?"
    cursor = ""
    for _ in range(at_most):
        answer = tenant.call("GET", f"{path}{cursor}")
        assert answer.status == 200, answer.body
        found.append(answer.body[member])
        if answer.body["next_cursor"] is None:
            return found
        cursor = f"{separator}cursor={answer.body['next_cursor']}"
    raise AssertionError("the list does not end")


def flat(found: list[list[Any]]) -> list[Any]:
    """The rows of all pages."""
    return [row for page in found for row in page]


MANY = 110


@pytest.fixture(scope="module")
def many_tokens(shared: Api) -> tuple[Tenant, list[str]]:
    """A tenant with many tokens, some of one millisecond."""
    tenant = shared.new_tenant()
    minted = [ids.new(ids.ENROLLMENT_TOKEN) for _ in range(MANY)]
    for part in (minted[:99], minted[99:]):
        transaction = Transaction()
        for number, token in enumerate(part):
            enrollment_tokens.mint(
                transaction,
                tenant.organization,
                token,
                environment=tenant.environment,
                created_at=shared.clock.now + number // 3,
                expires_at=shared.clock.now + 3_600_000,
                max_uses=1,
            )
        assert transaction.write() is None
    return tenant, minted


@pytest.mark.parametrize("limit", [None, 30])
def test_all_tokens_are_listed_once_newest_first(
    many_tokens: tuple[Tenant, list[str]], limit: int | None
) -> None:
    tenant, minted = many_tokens
    query = "" if limit is None else f"?limit={limit}"
    found = pages(tenant, f"/agent-enrollment/tokens{query}", "enrollment_tokens")
    rows = flat(found)
    listed = [row["enrollment_token_id"] for row in rows]
    assert len(listed) == len(set(listed)) == MANY
    assert set(listed) == set(minted)
    times = [row["created_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert all(len(page) == (limit or 50) for page in found[:-1])


def test_a_token_that_is_minted_meanwhile_disturbs_no_page(shared: Api) -> None:
    tenant = shared.new_tenant()
    before = [tenant.mint()["enrollment_token_id"] for _ in range(6)]
    first = tenant.call("GET", "/agent-enrollment/tokens?limit=3").body
    shared.clock.advance(seconds=1)
    tenant.mint()
    rest = tenant.call(
        "GET", f"/agent-enrollment/tokens?limit=3&cursor={first['next_cursor']}"
    ).body
    listed = [
        row["enrollment_token_id"] for row in first["enrollment_tokens"] + rest["enrollment_tokens"]
    ]
    assert sorted(listed) == sorted(before)


def test_tokens_can_be_filtered_by_status_across_pages(shared: Api) -> None:
    tenant = shared.new_tenant()
    spent, revoked, active, expired = [], [], [], []
    for _ in range(2):
        token = tenant.mint()
        assert tenant.exchange(token["token"]).status == 201
        spent.append(token["enrollment_token_id"])
        revoked.append(tenant.mint()["enrollment_token_id"])
        tenant.call("POST", f"/agent-enrollment/tokens/{revoked[-1]}/revoke")
        active.append(tenant.mint()["enrollment_token_id"])
        expired.append(tenant.mint(ttl_seconds=60)["enrollment_token_id"])
    shared.clock.advance(seconds=61)
    wanted = {"spent": spent, "revoked": revoked, "active": active, "expired": expired}
    for status, expected in wanted.items():
        path = f"/agent-enrollment/tokens?status={status}&limit=1"
        rows = flat(pages(tenant, path, "enrollment_tokens"))
        assert sorted(row["enrollment_token_id"] for row in rows) == sorted(expected)
        assert {row["status"] for row in rows} == {status}


def test_tokens_and_agents_of_several_environments_are_all_listed(shared: Api) -> None:
    tenant = shared.new_tenant()
    environments = [tenant.environment, *(new_environment(tenant, f"e{n}") for n in range(3))]
    tokens: dict[str, set[str]] = {environment: set() for environment in environments}
    agents: dict[str, set[str]] = {environment: set() for environment in environments}
    for environment in environments[:3]:
        for number in range(3):
            token = tenant.mint(environment=environment)
            tokens[environment].add(token["enrollment_token_id"])
            enrolled = tenant.exchange(token["token"], name=f"edge-{number}")
            assert enrolled.body["environment"] == environment
            agents[environment].add(enrolled.body["agent_id"])
    for path, member, name, expected in (
        ("/agent-enrollment/tokens", "enrollment_tokens", "enrollment_token_id", tokens),
        ("/agents", "agents", "agent_id", agents),
    ):
        for limit in (1, 4):
            rows = flat(pages(tenant, f"{path}?limit={limit}", member))
            listed = [row[name] for row in rows]
            assert len(listed) == len(set(listed))
            assert set(listed) == set().union(*expected.values())
        for environment, wanted in expected.items():
            rows = flat(pages(tenant, f"{path}?limit=2&environment={environment}", member))
            assert {row[name] for row in rows} == wanted


@pytest.fixture(scope="module")
def fleet(shared: Api) -> tuple[Tenant, set[str]]:
    """A tenant with many agents, made out of order of their names, with labels."""
    tenant = shared.new_tenant()
    agents = [ids.new(ids.AGENT) for _ in range(MANY)]
    for start in range(0, MANY, 33):
        transaction = Transaction()
        for number in range(start, min(start + 33, MANY)):
            shown = (number * 37) % MANY
            agent_identities.create(
                transaction,
                tenant.organization,
                agents[number],
                environment=tenant.environment,
                name=f"{'Edge' if shown % 2 else 'edge'}-{shown:03d}",
                token=ids.new(ids.ENROLLMENT_TOKEN),
                created_at=shared.clock.now,
                labels={"parity": str(shown % 2), "tens": str(shown // 10)},
            )
            presence_writes.create(
                transaction,
                tenant.organization,
                agents[number],
                project=tenant.project,
                environment=tenant.environment,
                key=b"",
                scopes={"agent:heartbeat"},
            )
        assert transaction.write() is None
    return tenant, set(agents)


@pytest.mark.parametrize("limit", [30, 100])
def test_all_agents_are_listed_once_by_name(fleet: tuple[Tenant, set[str]], limit: int) -> None:
    tenant, agents = fleet
    rows = flat(pages(tenant, f"/agents?limit={limit}", "agents"))
    assert [row["name"].lower() for row in rows] == [f"edge-{n:03d}" for n in range(MANY)]
    assert {row["agent_id"] for row in rows} == agents


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=edge-01", set(range(10, 20))),
        ("name=EDGE-01", set(range(10, 20))),
        ("name=edge-010", {10}),
        ("name=dge", set()),
        ("name=edge-1", set(range(100, 110))),
        ("label=tens=3", set(range(30, 40))),
        ("label=parity=1&name=edge-00", {1, 3, 5, 7, 9}),
        ("label=parity=2", set()),
        ("label=nothing=0", set()),
        ("status=enrolled&name=edge-10", set(range(100, 110))),
        ("status=online", set()),
        ("status=revoked", set()),
    ],
)
def test_agents_can_be_filtered_across_pages(
    fleet: tuple[Tenant, set[str]], query: str, expected: set[int]
) -> None:
    tenant, _ = fleet
    limit = 7 if "name" in query else 100
    rows = flat(pages(tenant, f"/agents?{query}&limit={limit}", "agents"))
    assert [row["name"].lower() for row in rows] == [f"edge-{n:03d}" for n in sorted(expected)]


def test_a_filter_that_fits_few_does_not_cost_a_request_for_each_agent(
    fleet: tuple[Tenant, set[str]],
) -> None:
    tenant, _ = fleet
    with database_requests() as seen:
        answer = tenant.call("GET", "/agents?status=revoked&limit=1")
    assert answer.body["agents"] == []
    # One authorizes, the others look at what the filter passes over.
    assert seen.count("BatchGetItem") <= 1 + 2


def test_a_page_costs_no_more_than_its_rows(fleet: tuple[Tenant, set[str]]) -> None:
    tenant, _ = fleet
    with database_requests() as seen:
        tenant.call("GET", "/agents?limit=10")
    assert seen.count("BatchGetItem") == 1 + 1  # the authorization, and the page's presences
    assert seen.count("Query") <= 1 + 8


def test_agents_can_be_filtered_by_every_status(tenant: Tenant, clock: FrozenClock) -> None:
    hosts = {
        name: tenant.enroll(name=name)
        for name in ("offline", "late", "online", "enrolled", "ended")
    }
    for name, pause in (("offline", 100), ("late", 100), ("online", 0)):
        assert hosts[name].beat().status == 200
        clock.advance(seconds=pause)
    tenant.call("POST", f"/agents/{hosts['ended'].agent_id}/revoke")
    for status, name in (
        ("offline", "offline"), ("late", "late"), ("online", "online"), ("enrolled", "enrolled"),
        ("revoked", "ended"),
    ):  # fmt: skip
        rows = tenant.call("GET", f"/agents?status={status}").body["agents"]
        assert [row["name"] for row in rows] == [name], status
    assert tenant.call("GET", "/agents?status=quarantined").body["agents"] == []


def test_a_rename_between_two_pages_shows_no_other_agent_twice(tenant: Tenant) -> None:
    hosts = [tenant.enroll(name=f"edge-{number}") for number in range(6)]
    first = tenant.call("GET", "/agents?limit=3").body
    tenant.call("PATCH", f"/agents/{hosts[0].agent_id}", {"name": "zzz"})
    rest = tenant.call("GET", f"/agents?limit=100&limit=3&cursor={first['next_cursor']}")
    assert rest.status == 400
    rest = tenant.call("GET", f"/agents?limit=3&cursor={first['next_cursor']}")
    assert [row["name"] for row in rest.body["agents"]] == ["edge-3", "edge-4", "edge-5"]


def test_a_list_at_its_end_has_no_cursor(tenant: Tenant) -> None:
    for path in (
        "/agents",
        "/agent-enrollment/tokens",
        "/audit-records?resource_type=a&resource_id=b",
    ):
        assert tenant.call("GET", path).body["next_cursor"] is None


def test_the_expiry_in_the_index_is_the_one_of_the_row(tenant: Tenant, clock: FrozenClock) -> None:
    minted = tenant.mint(ttl_seconds=3600)
    row = enrollment_tokens.find(tenant.organization, minted["enrollment_token_id"])
    assert row is not None
    assert minted["expires_at"] == rfc3339(clock.now + 3_600_000)
    assert row.ttl == datetime.datetime.fromtimestamp(
        clock.now // 1000 + 3600, tz=datetime.UTC
    ) + datetime.timedelta(days=30)
