"""What the tests of deletions do again and again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib import workers
from chalicelib.store import jobs
from chalicelib.store.jobs import JobItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.laws.stories import rows_of
from tests.functional.people import Person, person

MOST_STEPS = 700


@dataclass
class Fleet:
    """An environment's children: agents in several states, and tokens of several kinds."""

    tenant: Tenant
    environment: str
    hosts: list[Host] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many agents and tokens there are."""
        return len(self.hosts) + len(self.tokens)

    def statuses(self) -> set[str]:
        """What the agents' presence rows say."""
        own = {host.agent_id for host in self.hosts}
        rows = rows_of(self.tenant, "agent_presence")
        return {row["s"]["S"] for row in rows if row["pk"]["S"].split("#")[1] in own}

    def revocations(self) -> list[str]:
        """The agents on the list of revocations, each as often as it stands there."""
        own = {host.agent_id for host in self.hosts}
        rows = rows_of(self.tenant, "agent_revocations")
        return sorted(row["agent_id"]["S"] for row in rows if row["agent_id"]["S"] in own)


def fleet(tenant: Tenant, environment: str, agents: int = 3) -> Fleet:
    """Agents of one token (a revoked one among them), a token of many uses, and a revoked one."""
    made = Fleet(tenant, environment)
    token = tenant.mint(environment=environment, max_uses=agents + 1)
    for number in range(agents):
        answer = tenant.exchange(token["token"], hostname=f"host-{number}.example")
        assert answer.status == 201, answer.body
        made.hosts.append(
            Host(tenant.api, answer.body["agent_id"], answer.body["runtime_key"], answer.body)
        )
    many = tenant.mint(environment=environment, max_uses=60)
    over = tenant.mint(environment=environment)
    path = f"/agent-enrollment/tokens/{over['enrollment_token_id']}/revoke"
    assert tenant.call("POST", path, {}).status == 200
    if agents:
        assert tenant.call("POST", f"/agents/{made.hosts[-1].agent_id}/revoke", {}).status == 200
        for host in made.hosts[:-1]:
            assert host.beat().status == 200
    made.tokens = [token, many, over]
    # What happens to them is later than what they are, also in the order of the audit trail.
    tenant.api.clock.advance(seconds=1)
    return made


def admin(tenant: Tenant) -> Person:
    """An org_admin with a session."""
    return person(tenant, "org_admin")


def new_project(tenant: Tenant, name: str) -> str:
    """Another project of the tenant."""
    answer = tenant.call("POST", "/projects", {"name": name})
    assert answer.status == 201, answer.body
    return str(answer.body["project_id"])


def new_environment(tenant: Tenant, name: str, project: str | None = None) -> str:
    """Another environment of the tenant."""
    body = {"project": project or tenant.project, "name": name}
    answer = tenant.call("POST", "/environments", body)
    assert answer.status == 201, answer.body
    return str(answer.body["environment_id"])


def delete(who: Tenant | Person, kind: str, identifier: str) -> dict[str, Any]:
    """Ask for a deletion; the job that is answered."""
    answer = who.call("DELETE", f"/{kind}s/{identifier}")
    assert answer.status == 202, answer.body
    job = answer.body["job"]
    assert isinstance(job, dict)
    return job


def row_of(tenant: Tenant, job: str) -> JobItem:
    """A job's row."""
    row = jobs.find(tenant.organization, job)
    assert row is not None
    return row


def step(tenant: Tenant, job: str, context: Any = None) -> JobItem:
    """Let the function take the job's next step, as the stream would; the job after it."""
    row = row_of(tenant, job)
    record = {"eventName": "MODIFY", "dynamodb": {"NewImage": row.serialize()}}
    workers.run_jobs([record], context)
    return row_of(tenant, job)


def run(tenant: Tenant, job: str) -> JobItem:
    """Take steps until the job ends; what it waits passes on the clock."""
    clock = tenant.api.clock
    for _ in range(MOST_STEPS):
        clock.slept.clear()
        row = step(tenant, job)
        if row.status in {jobs.DONE, jobs.FAILED}:
            return row
        clock.advance(seconds=sum(clock.slept))
    raise AssertionError(f"the job does not end: {row.attribute_values}")


def job_of(who: Tenant | Person, job: str) -> Answer:
    """The job as who asks sees it."""
    return who.call("GET", f"/jobs/{job}")


def deletions_of_all_kinds(tenant: Tenant) -> Iterator[str]:
    """The jobs that delete an environment, a project and the organization, with all children."""
    who, _ = admin(tenant), person(tenant, "viewer")
    assert who.call("POST", "/invitations", {"role": "viewer"}).status == 201
    project = new_project(tenant, "another")
    person(tenant, None, projects={project: "viewer"})
    environment = new_environment(tenant, "another", project)
    assert tenant.call("GET", "/environments").status == 200
    path = f"/environments/{environment}"
    assert tenant.call("PATCH", path, {"name": "renamed"}).status == 200
    assert fleet(tenant, environment).size
    for kind, identifier in (
        ("environment", new_environment(tenant, "empty", project)),
        ("project", project),
        ("organization", tenant.organization),
    ):
        yield str(delete(who, kind, identifier)["job_id"])
