"""Law 3: what is deleted is closed when the answer comes, and gone when the job says so."""

import pytest

from chalicelib import runtime
from chalicelib.flows.deletion_job import SETTLED_MS
from chalicelib.store import jobs, seals
from tests.functional.api import Host, Tenant
from tests.functional.batches import sealed
from tests.functional.clock import FrozenClock
from tests.functional.laws.deletions import (
    Fleet,
    admin,
    delete,
    fleet,
    job_of,
    new_environment,
    new_project,
    run,
    step,
)
from tests.functional.laws.stories import names_of, rows_of
from tests.functional.people import person

PARENTS = ("environment", "project", "organization")


def deleted(tenant: Tenant, kind: str) -> str:
    """Delete the tenant's own environment, project, or itself; the job's identifier."""
    who = admin(tenant)
    identifier = getattr(tenant, kind)
    return str(delete(who, kind, identifier)["job_id"])


def told(tenant: Tenant, method: str, path: str, body: object = None) -> tuple[int, str | None]:
    answer = tenant.call(method, path, body)
    return answer.status, answer.code


def paths_of(made: Fleet) -> list[str]:
    agent, token = made.hosts[0].agent_id, made.tokens[0]["enrollment_token_id"]
    return [f"/agents/{agent}", f"/agents/{agent}/artifacts", f"/agent-enrollment/tokens/{token}"]


@pytest.mark.parametrize("kind", PARENTS)
def test_minting_exchanging_and_operating_stop_with_the_answer(tenant: Tenant, kind: str) -> None:
    made = fleet(tenant, tenant.environment)
    spared = new_environment(tenant, "spared", new_project(tenant, "spared"))
    deleted(tenant, kind)
    # No step of the job was taken.
    closed = (403, "organization_closed") if kind == "organization" else None
    mint = told(tenant, "POST", "/agent-enrollment/tokens", {"environment": tenant.environment})
    assert mint == (closed or (404, "environment_not_found"))
    for token in made.tokens[:2]:
        answer = tenant.exchange(token["token"])
        assert (answer.status, answer.code) == (403, "environment_closed")
    for path in paths_of(made):
        assert told(tenant, "GET", path)[0] == (403 if closed else 404), path
    assert told(tenant, "POST", f"/agents/{made.hosts[0].agent_id}/revoke", {})[0] in {403, 404}
    for below in PARENTS[: PARENTS.index(kind) + 1][:2]:
        path = f"/{below}s/{getattr(tenant, below)}"
        assert told(tenant, "GET", path) == (closed or (404, f"{below}_not_found"))
        assert told(tenant, "PATCH", path, {"name": "x"}) == (closed or (404, f"{below}_not_found"))
    if closed is None:
        assert tenant.call("GET", "/agents").body["agents"] == []
        assert tenant.mint(environment=spared)
        listed = tenant.call("GET", "/environments").body["environments"]
        assert [row["environment_id"] for row in listed] == [spared]


@pytest.mark.parametrize("kind", PARENTS)
def test_the_job_ends_every_child_and_says_done_only_then(tenant: Tenant, kind: str) -> None:
    made = fleet(tenant, tenant.environment)
    other = fleet(tenant, new_environment(tenant, "other"), 2)
    children = [made] if kind == "environment" else [made, other]
    job = deleted(tenant, kind)
    who = admin(tenant)
    row = run(tenant, job)
    assert row.status == jobs.DONE, row.last_error
    for children_of_one in children:
        assert children_of_one.statuses() == {"revoked"}
        agents = sorted(host.agent_id for host in children_of_one.hosts)
        assert children_of_one.revocations() == agents
        for host in children_of_one.hosts:
            host.sequence = 9
            answer = host.beat()
            assert (answer.status, answer.code) == (401, "key_revoked")
        for token in children_of_one.tokens:
            assert tenant.exchange(token["token"]).code == "environment_closed"
    size = sum(one.size for one in children)
    assert (int(row.processed), int(row.total)) == (size, size)
    assert who.call("GET", f"/{kind}s/{getattr(tenant, kind)}").status == (
        200 if kind == "organization" else 404
    )
    shown = job_of(who, job)
    assert (shown.status, shown.body["status"]) == (200, "done")
    if kind == "environment":
        assert other.statuses() == {"online", "revoked"}
        assert tenant.call("GET", f"/agents/{other.hosts[0].agent_id}").status == 200


@pytest.mark.parametrize("kind", ["environment", "project"])
def test_after_the_job_the_children_are_unknown_and_in_no_list(tenant: Tenant, kind: str) -> None:
    made = fleet(tenant, tenant.environment)
    run(tenant, deleted(tenant, kind))
    for path in paths_of(made):
        assert told(tenant, "GET", path)[0] == 404, path
    assert tenant.call("GET", "/agents").body["agents"] == []
    assert tenant.call("GET", "/agent-enrollment/tokens").body["enrollment_tokens"] == []
    assert names_of(tenant) == []
    items = {row["item"]["S"].split("#")[0] for row in rows_of(tenant, "organizations")}
    left = {"organization", "member", "key"}
    left |= {"project", "name"} if kind == "environment" else set()
    assert items == left
    (row,) = (r for r in rows_of(tenant, "organizations") if r["item"]["S"] == "organization")
    assert "closed" not in row


def test_a_deletion_settles_before_it_is_done(tenant: Tenant, clock: FrozenClock) -> None:
    made = fleet(tenant, tenant.environment)
    job = deleted(tenant, "environment")
    begun = step(tenant, job)
    assert (begun.status, int(begun.processed), int(begun.total)) == (jobs.RUNNING, 0, made.size)
    row = step(tenant, job)
    # The agents end at once; what an index does not show yet has its time.
    assert made.statuses() == {"revoked"}
    assert (row.status, int(row.processed)) == (jobs.RUNNING, made.size)
    for _ in range(30):
        assert step(tenant, job).status == jobs.RUNNING
    clock.advance(seconds=SETTLED_MS / 1000 - 0.001)
    assert step(tenant, job).status == jobs.RUNNING
    clock.advance(seconds=0.001)
    assert step(tenant, job).status == jobs.DONE


def test_an_empty_environment_settles_too(tenant: Tenant, clock: FrozenClock) -> None:
    job = deleted(tenant, "environment")
    begun = clock.now
    row = run(tenant, job)
    assert (row.status, int(row.processed), int(row.total)) == (jobs.DONE, 0, 0)
    assert SETTLED_MS <= clock.now - begun < 2 * SETTLED_MS


@pytest.mark.parametrize("kind", PARENTS)
def test_asking_twice_finds_the_same_job(tenant: Tenant, kind: str) -> None:
    who = admin(tenant)
    identifier = getattr(tenant, kind)
    first = delete(who, kind, identifier)
    assert delete(who, kind, identifier) == first
    step(tenant, first["job_id"])
    again = delete(who, kind, identifier)
    assert (again["job_id"], again["status"]) == (first["job_id"], "running")
    run(tenant, first["job_id"])
    after = who.call("DELETE", f"/{kind}s/{identifier}")
    if kind == "organization":
        assert (after.status, after.body["job"]["status"]) == (202, "done")
    else:
        assert (after.status, after.code) == (404, f"{kind}_not_found")
    events = [row["event"]["S"] for row in rows_of(tenant, "audit_records")]
    assert events.count(f"{kind}.deletion_requested") == 1
    assert events.count("job.finished") == 1
    assert events.count(f"{kind}.deleted") == 1


def test_a_name_is_free_after_the_deletion_and_not_before(tenant: Tenant) -> None:
    environment = new_environment(tenant, "Edge")
    job = delete(tenant, "environment", environment)["job_id"]
    wish = {"project": tenant.project, "name": "edge"}
    assert tenant.call("POST", "/environments", wish).code == "name_taken"
    run(tenant, job)
    assert tenant.call("POST", "/environments", wish).status == 201


def test_a_hosts_name_is_free_in_no_time(tenant: Tenant) -> None:
    # Names are an environment's: the same host enrolls elsewhere at once.
    made = fleet(tenant, tenant.environment)
    other = new_environment(tenant, "other")
    run(tenant, deleted(tenant, "environment"))
    token = tenant.mint(environment=other)
    answer = tenant.exchange(token["token"], hostname="host-0.example")
    assert answer.status == 201
    assert answer.body["name"] == made.hosts[0].enrollment["name"]


def test_evidence_names_the_job_and_who_asked(tenant: Tenant) -> None:
    made = fleet(tenant, tenant.environment)
    who = admin(tenant)
    job = delete(who, "environment", tenant.environment)["job_id"]
    run(tenant, job)
    agent = tenant.audit("agent", made.hosts[0].agent_id)[-1]
    assert (agent["event"], agent["detail"]["job_id"]) == ("agent.revoked", job)
    token = tenant.audit("enrollment_token", made.tokens[1]["enrollment_token_id"])[-1]
    assert token["event"] == "agent.enrollment_token.revoked"
    records = tenant.audit("environment", tenant.environment)
    assert [record["event"] for record in records] == [
        "environment.deletion_requested",
        "environment.deleted",
    ]
    for record in [agent, token, *records]:
        assert record["actor"]["id"] == who.user
        assert record["project"] == tenant.project
        assert record["environment"] == tenant.environment
    assert {record["detail"]["job_id"] for record in records} == {job}


def test_a_project_takes_its_members_roles_along(tenant: Tenant) -> None:
    other = new_project(tenant, "other")
    member = person(tenant, None, projects={tenant.project: "operator", other: "viewer"})
    run(tenant, deleted(tenant, "project"))
    row = next(
        row
        for row in rows_of(tenant, "organizations")
        if row["item"]["S"] == f"member#{member.user}"
    )
    assert tenant.project not in row["projects"]["S"]
    assert other in row["projects"]["S"]
    assert member.call("GET", f"/projects/{other}").status == 200
    record = tenant.audit("user", member.user)[-1]
    assert record["event"] == "member.updated"
    assert record["detail"]["project_id"] == tenant.project
    assert record["detail"]["previous_role"] == "operator"


def test_an_organization_ends_as_a_tombstone(tenant: Tenant, clock: FrozenClock) -> None:
    host: Host = fleet(tenant, tenant.environment).hosts[0]
    viewer, who = person(tenant, "viewer"), admin(tenant)
    assert who.call("POST", "/invitations", {"role": "viewer"}).status == 201
    key = {"name": "ci", "scopes": ["agents:read"]}
    assert who.call("POST", "/organization-keys", key).status == 201
    sealed(tenant, 2)
    job = delete(who, "organization", tenant.organization)["job_id"]
    shown = who.call("GET", f"/organizations/{tenant.organization}").body
    assert (shown["status"], shown["job_id"]) == ("deleting", job)
    assert viewer.call("GET", f"/jobs/{job}").body["status"] == "queued"
    assert viewer.call("GET", "/agents").code == "organization_closed"
    run(tenant, job)
    assert who.call("GET", f"/organizations/{tenant.organization}").body["status"] == "deleted"
    assert who.call("GET", f"/jobs/{job}").body["status"] == "done"
    (mine,) = who.call("GET", "/organizations").body["organizations"]
    assert (mine["status"], mine["role"]) == ("deleted", "org_admin")
    for method, path, body in (
        ("GET", "/agents", None),
        ("GET", "/projects", None),
        ("POST", "/projects", {"name": "x"}),
        ("PATCH", f"/organizations/{tenant.organization}", {"name": "x"}),
        ("POST", "/organizations", {"name": "x"}),
        ("GET", "/audit-records", None),
    ):
        answer = who.call(method, path, body)
        assert (answer.status, answer.code) == (403, "organization_closed"), path
    assert tenant.call("GET", "/agents").status == 401
    assert viewer.call("GET", f"/jobs/{job}").code == "membership_ended"
    host.sequence = 9
    assert host.beat().code == "key_revoked"
    rows = rows_of(tenant, "organizations")
    # The chain of its evidence outlives it.
    assert sorted(row["item"]["S"].split("#")[0] for row in rows) == [
        "member", "organization", "seal",
    ]  # fmt: skip
    assert seals.head(tenant.organization) is not None
    bucket = runtime.current().evidence_bucket
    assert all(bucket.find(tenant.organization, number) for number in (1, 2))
    ends = [int(row["ttl"]["N"]) - 30 * 86_400 for row in rows if row["item"]["S"] != "seal"]
    assert all(0 <= clock.now // 1000 - end <= 60 for end in ends)
    people = [row for row in rows_of(tenant, "people") if "#" in row["item"]["S"]]
    assert people == []
