"""Law 3: deletions side by side, of a parent and of what is in it."""

import pytest

from chalicelib.store import jobs, parents
from tests.functional.api import Tenant
from tests.functional.laws.deletions import admin, delete, fleet, new_environment, run, step
from tests.functional.laws.faults import interleaved
from tests.functional.laws.stories import rows_of


def test_deletions_that_are_under_way_bound_how_many_more_may_begin(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parents, "MOST_CLOSED", 2)
    made = [new_environment(tenant, f"e-{n}") for n in range(3)]
    jobs_of = [delete(tenant, "environment", name)["job_id"] for name in made[:2]]
    refused = tenant.call("DELETE", f"/environments/{made[2]}")
    assert (refused.status, refused.code) == (409, "too_many_deletions")
    assert tenant.call("GET", f"/environments/{made[2]}").body["status"] == "active"
    # Asking again for one that is under way is no new one.
    assert delete(tenant, "environment", made[0])["job_id"] == jobs_of[0]
    run(tenant, jobs_of[0])
    assert delete(tenant, "environment", made[2])


def test_two_deletions_at_once_of_a_project_and_its_environment(tenant: Tenant) -> None:
    made = fleet(tenant, tenant.environment)
    inner = delete(tenant, "environment", tenant.environment)["job_id"]
    outer = delete(tenant, "project", tenant.project)["job_id"]
    refused = tenant.call("DELETE", f"/environments/{tenant.environment}")
    assert (refused.status, refused.code) == (404, "environment_not_found")
    _in_turn(tenant, [outer, inner])
    assert made.statuses() == {"revoked"}
    events = [row["event"]["S"] for row in rows_of(tenant, "audit_records")]
    assert (events.count("environment.deleted"), events.count("project.deleted")) == (1, 1)
    assert events.count("agent.revoked") == len(made.hosts)


@pytest.mark.parametrize("outer_first", [True, False])
def test_two_deletions_at_once_of_an_organization_and_its_project(
    tenant: Tenant, outer_first: bool
) -> None:
    made, who = fleet(tenant, tenant.environment), admin(tenant)
    inner = delete(who, "project", tenant.project)["job_id"]
    outer = delete(who, "organization", tenant.organization)["job_id"]
    refused = who.call("DELETE", f"/projects/{tenant.project}")
    assert (refused.status, refused.code) == (403, "organization_closed")
    _in_turn(tenant, [outer, inner] if outer_first else [inner, outer])
    assert made.statuses() == {"revoked"}
    assert who.call("GET", f"/organizations/{tenant.organization}").body["status"] == "deleted"
    assert {who.call("GET", f"/jobs/{job}").status for job in (outer, inner)} == {200}


def _in_turn(tenant: Tenant, running: list[str]) -> None:
    left = list(running)
    for _ in range(60):
        for job in list(left):
            row = step(tenant, job)
            if row.status != jobs.RUNNING:
                assert row.status == jobs.DONE, row.last_error
                left.remove(job)
        if not left:
            return
        tenant.api.clock.advance(seconds=2)
    raise AssertionError(f"they do not end: {left}")


def test_a_last_step_whose_row_another_deletion_takes_away_ends_all_the_same(
    tenant: Tenant,
) -> None:
    inner = delete(tenant, "environment", tenant.environment)["job_id"]
    outer = delete(tenant, "project", tenant.project)["job_id"]
    for job in (inner, outer, inner, outer):
        step(tenant, job)
    tenant.api.clock.advance(seconds=20)
    with interleaved(lambda: step(tenant, outer).status, on="TransactWriteItems") as other:
        row = step(tenant, inner)
    assert (other, row.status) == ([jobs.DONE], jobs.DONE)
    events = [record["event"]["S"] for record in rows_of(tenant, "audit_records")]
    assert (events.count("environment.deleted"), events.count("job.finished")) == (1, 2)
    (left,) = (r for r in rows_of(tenant, "organizations") if r["item"]["S"] == "organization")
    assert "closed" not in left
