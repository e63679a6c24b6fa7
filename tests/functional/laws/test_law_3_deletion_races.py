"""Law 3: what was under way when a parent was closed is caught, or is refused."""

from typing import Any

import pytest

from chalicelib.flows.deletion_job import SETTLED_MS
from chalicelib.store import jobs
from tests.functional.api import Answer, Tenant
from tests.functional.laws.deletions import admin, delete, fleet, new_environment, run, step
from tests.functional.laws.faults import ALWAYS, changed_answer, interleaved
from tests.functional.laws.stories import agents_of, host_of, rows_of

USES = [1, 60]


def _closed_and_worked(tenant: Tenant) -> str:
    job = delete(tenant, "environment", tenant.environment)["job_id"]
    step(tenant, job)
    step(tenant, job)
    return str(job)


@pytest.mark.parametrize("uses", USES)
def test_an_exchange_that_commits_after_the_tokens_ended_makes_no_agent(
    tenant: Tenant, uses: int
) -> None:
    """It had read the environment before that was closed; its transaction comes after."""
    token = tenant.mint(max_uses=uses)
    with interleaved(lambda: _closed_and_worked(tenant), on="TransactWriteItems") as job:
        answer = tenant.exchange(token["token"])
    assert (answer.status, answer.code) == (410, "token_revoked")
    assert agents_of(tenant) == []
    assert run(tenant, job[0]).status == jobs.DONE


@pytest.mark.parametrize("uses", USES)
def test_an_exchange_that_commits_before_the_tokens_end_makes_an_agent_that_the_job_ends(
    tenant: Tenant, uses: int
) -> None:
    token = tenant.mint(max_uses=uses)

    def close() -> str:
        return str(delete(tenant, "environment", tenant.environment)["job_id"])

    with interleaved(close, on="TransactWriteItems") as job:
        answer = tenant.exchange(token["token"])
    assert answer.status == 201
    host = host_of(tenant.api, answer)
    assert host.beat().status == 200
    assert run(tenant, job[0]).status == jobs.DONE
    assert host.beat().code == "key_revoked"


def _hide(answer: dict[str, Any]) -> None:
    """An index that is behind."""
    answer["Items"], answer["Count"] = [], 0
    answer.pop("LastEvaluatedKey", None)


def test_children_that_the_indexes_show_late_are_found_before_the_job_is_done(
    tenant: Tenant,
) -> None:
    made = fleet(tenant, tenant.environment)
    job = delete(tenant, "environment", tenant.environment)["job_id"]
    with changed_answer("Query", _hide, times=ALWAYS):
        for _ in range(5):
            assert step(tenant, job).status == jobs.RUNNING
        tenant.api.clock.advance(seconds=SETTLED_MS / 1000 - 1)
        assert step(tenant, job).status == jobs.RUNNING
    assert made.statuses() == {"online", "revoked"}
    assert run(tenant, job).status == jobs.DONE
    assert made.statuses() == {"revoked"}


def test_an_agent_that_shows_after_its_token_ended_has_as_long_to_show(tenant: Tenant) -> None:
    """The token is found late; the agent that it had just made is found later still."""
    made = fleet(tenant, tenant.environment)
    job = delete(tenant, "environment", tenant.environment)["job_id"]
    clock = tenant.api.clock
    with changed_answer("Query", _hide, times=ALWAYS):
        step(tenant, job)
        step(tenant, job)
    clock.advance(seconds=SETTLED_MS / 1000)

    def hide_agents(answer: dict[str, Any]) -> None:
        if any("agent_id" in item for item in answer["Items"]):
            _hide(answer)

    with changed_answer("Query", hide_agents, times=ALWAYS):
        assert step(tenant, job).status == jobs.RUNNING
        clock.advance(seconds=SETTLED_MS / 1000 - 1)
        assert step(tenant, job).status == jobs.RUNNING
    assert made.statuses() == {"online", "revoked"}
    assert run(tenant, job).status == jobs.DONE
    assert made.statuses() == {"revoked"}


def under_way(tenant: Tenant, method: str, path: str, body: Any, parent: str) -> Answer:
    """A request that was let in before a parent was closed, and writes after."""
    who = admin(tenant)

    def close() -> None:
        delete(who, parent, getattr(tenant, parent))

    with interleaved(close, on="TransactWriteItems") as closed:
        answer = who.call(method, path, body)
    assert closed == [None]
    return answer


@pytest.mark.parametrize("parent", ["environment", "project", "organization"])
def test_a_mint_that_was_let_in_before_is_refused(tenant: Tenant, parent: str) -> None:
    body = {"environment": tenant.environment}
    answer = under_way(tenant, "POST", "/agent-enrollment/tokens", body, parent)
    assert (answer.status, answer.code) == (404, "environment_not_found")


@pytest.mark.parametrize(
    ("parent", "status", "code"),
    [("project", 404, "project_not_found"), ("organization", 403, "organization_closed")],
)
def test_an_environment_that_would_come_after_the_closing_does_not_come(
    tenant: Tenant, parent: str, status: int, code: str
) -> None:
    body = {"project": tenant.project, "name": "late"}
    answer = under_way(tenant, "POST", "/environments", body, parent)
    assert (answer.status, answer.code) == (status, code)
    items = [row["item"]["S"] for row in rows_of(tenant, "organizations")]
    assert len([item for item in items if item.startswith("environment#")]) == 1


def test_a_project_that_would_come_after_the_closing_does_not_come(tenant: Tenant) -> None:
    answer = under_way(tenant, "POST", "/projects", {"name": "late"}, "organization")
    assert (answer.status, answer.code) == (403, "organization_closed")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/organization-keys", {"name": "late", "scopes": ["agents:read"]}),
        ("/invitations", {"role": "viewer"}),
    ],
)
def test_a_key_or_an_invitation_that_would_come_after_the_closing_does_not_come(
    tenant: Tenant, path: str, body: dict[str, Any]
) -> None:
    keys = {row["item"]["S"] for row in rows_of(tenant, "organizations")}
    answer = under_way(tenant, "POST", path, body, "organization")
    assert (answer.status, answer.code) == (403, "organization_closed")
    items = {row["item"]["S"] for row in rows_of(tenant, "organizations")} - keys
    assert not [item for item in items if item.startswith("key")]
    people = {row["item"]["S"].split("#")[0] for row in rows_of(tenant, "people")}
    assert "invitation" not in people


@pytest.mark.parametrize("parent", ["environment", "project", "organization"])
def test_a_change_that_was_let_in_before_is_refused(tenant: Tenant, parent: str) -> None:
    path = f"/{parent}s/{getattr(tenant, parent)}"
    answer = under_way(tenant, "PATCH", path, {"name": "late"}, parent)
    assert answer.code in {f"{parent}_not_found", "organization_closed"}, answer.body


def test_an_agent_that_is_renamed_meanwhile_ends_all_the_same(tenant: Tenant) -> None:
    made = fleet(tenant, tenant.environment)
    host = made.hosts[0]

    def close() -> str:
        return _closed_and_worked(tenant)

    with interleaved(close, on="TransactWriteItems") as job:
        answer = tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": "late"})
    assert answer.status == 409
    assert run(tenant, job[0]).status == jobs.DONE
    assert made.statuses() == {"revoked"}


def test_two_requests_at_once_start_one_job(tenant: Tenant) -> None:
    environment = new_environment(tenant, "twice")

    def ask() -> Answer:
        return tenant.call("DELETE", f"/environments/{environment}")

    with interleaved(ask, on="TransactWriteItems") as other:
        mine = ask()
    assert (mine.status, other[0].status) == (202, 202)
    assert mine.body["job"] == other[0].body["job"]
    events = [row["event"]["S"] for row in rows_of(tenant, "audit_records")]
    assert events.count("environment.deletion_requested") == 1
