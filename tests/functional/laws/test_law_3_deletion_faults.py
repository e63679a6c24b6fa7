"""Law 3: a deletion that is disturbed or killed comes to the same end."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from chalicelib.errors import Unavailable
from chalicelib.store import jobs
from chalicelib.store.connection import connection
from chalicelib.store.people import PersonItem
from tests.functional.api import Tenant
from tests.functional.laws import faults
from tests.functional.laws.deletions import (
    Fleet,
    admin,
    delete,
    fleet,
    new_environment,
    row_of,
    run,
    step,
)
from tests.functional.laws.faults import Fault, injected
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import names_of, rows_of
from tests.functional.people import person
from tests.functional.test_jobs import Ending

PARENTS = ("environment", "project", "organization")
PLACES = (0.0, 0.7)


class _Killed(BaseException):
    """The process is gone: nobody catches this, as nobody catches a SIGKILL."""


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """Let the process die when it is about to send a request."""
    seen: list[str] = []

    def die(model: Any, **_: Any) -> None:
        seen.append(model.name)
        if len(seen) >= number:
            raise _Killed

    events = connection().client.meta.events
    events.register_first("before-call.dynamodb", die)
    try:
        yield seen
    finally:
        events.unregister("before-call.dynamodb", die)


def story(tenant: Tenant, kind: str) -> tuple[list[Fleet], str]:
    """Something to delete with two environments in it, and the job that has not begun."""
    made = [fleet(tenant, tenant.environment)]
    if kind != "environment":
        made.append(fleet(tenant, new_environment(tenant, "other"), 2))
    job = delete(admin(tenant), kind, getattr(tenant, kind))["job_id"]
    return made, str(job)


def assert_ended(tenant: Tenant, kind: str, made: list[Fleet], job: str) -> None:
    """Everything has ended, everything once."""
    row = run(tenant, job) if row_of(tenant, job).status != jobs.DONE else row_of(tenant, job)
    assert row.status == jobs.DONE, row.last_error
    for one in made:
        assert one.statuses() == {"revoked"}
        assert one.revocations() == sorted(host.agent_id for host in one.hosts)
    size = sum(one.size for one in made)
    assert (int(row.processed), int(row.total)) == (size, size)
    assert names_of(tenant) == []
    records = rows_of(tenant, "audit_records")
    events = [record["event"]["S"] for record in records]
    assert events.count("agent.revoked") == sum(len(one.hosts) for one in made)
    assert events.count("agent.enrollment_token.revoked") == sum(len(one.tokens) for one in made)
    assert events.count("environment.deleted") == len(made)
    assert events.count(f"{kind}.deletion_requested") == 1
    assert events.count("job.finished") == 1
    left = [row["item"]["S"] for row in rows_of(tenant, "organizations")]
    gone = {
        "environment": ("environment#", "name#environment#"),
        "project": ("environment#", "name#", "project#"),
        "organization": ("environment#", "name#", "project#", "key"),
    }
    assert [item for item in left if item.startswith(gone[kind])] == []
    listed = [
        row
        for table in ("agent_identities", "agent_enrollment_tokens")
        for row in rows_of(tenant, table)
        if "environment_shard" in row and "#attempt#" not in row["pk"]["S"]
    ]
    assert listed == []


def _requests_of_a_step(tenant: Tenant, job: str) -> int:
    with counted() as requests:
        step(tenant, job)
    return len(requests.sent)


@pytest.mark.parametrize("kind", PARENTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_function_that_is_killed_goes_on_where_the_rows_are(
    tenant: Tenant, other_tenant: Tenant, kind: str, place: float
) -> None:
    _, same = story(other_tenant, kind)
    step(other_tenant, same)
    number = 1 + int(place * _requests_of_a_step(other_tenant, same))
    made, job = story(tenant, kind)
    step(tenant, job)
    with pytest.raises(_Killed), killed_at(number):
        step(tenant, job)
    assert_ended(tenant, kind, made, job)


@pytest.mark.parametrize("kind", PARENTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_function_that_is_killed_in_the_last_step_ends_all_the_same(
    tenant: Tenant, other_tenant: Tenant, kind: str, place: float
) -> None:
    clock = tenant.api.clock
    made, job = story(tenant, kind)
    _, same = story(other_tenant, kind)
    for _ in range(2):
        step(tenant, job)
        step(other_tenant, same)
    clock.advance(seconds=20)
    number = 1 + int(place * _requests_of_a_step(other_tenant, same))
    assert row_of(other_tenant, same).status == jobs.DONE
    with pytest.raises(_Killed), killed_at(number):
        step(tenant, job)
    assert row_of(tenant, job).status == jobs.RUNNING
    assert_ended(tenant, kind, made, job)


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
@pytest.mark.parametrize("first", [4])
def test_a_fault_of_a_write_changes_nothing_about_the_end(
    tenant: Tenant, fault: Fault, first: int
) -> None:
    made, job = story(tenant, "project")
    with injected(fault, first=first, times=4, on="TransactWriteItems"):
        for _ in range(2):
            # Where the outcome itself cannot be written, the stream repeats the record.
            with suppress(Unavailable):
                step(tenant, job)
    assert_ended(tenant, "project", made, job)


@pytest.mark.parametrize("fault", faults.OF_A_READ, ids=str)
def test_a_fault_of_a_read_changes_nothing_about_the_end(tenant: Tenant, fault: Fault) -> None:
    made, job = story(tenant, "project")
    step(tenant, job)
    with injected(fault, first=2, times=4, on="Query"):
        step(tenant, job)
    assert_ended(tenant, "project", made, job)


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
@pytest.mark.parametrize("first", [2])
def test_a_request_whose_answer_fails_is_repeated_to_the_same_job(
    tenant: Tenant, fault: Fault, first: int
) -> None:
    who, made = admin(tenant), fleet(tenant, tenant.environment)
    with injected(fault, first=first, on="TransactWriteItems"):
        answer = who.call("DELETE", f"/projects/{tenant.project}")
    assert answer.status in {202, 503}, answer.body
    job = delete(who, "project", tenant.project)["job_id"]
    assert answer.status == 503 or answer.body["job"]["job_id"] == job
    for token in made.tokens[:2]:
        assert tenant.exchange(token["token"]).code == "environment_closed"
    assert_ended(tenant, "project", [made], job)


def test_what_the_request_left_open_the_job_closes_first(tenant: Tenant) -> None:
    who, made = admin(tenant), fleet(tenant, tenant.environment)
    with counted() as requests:
        assert who.call("GET", f"/projects/{tenant.project}").status == 200
    before = len(requests.sent)
    # The authorization, a look for the job, and the transaction that starts it.
    with killed_at(before + 3), pytest.raises(_Killed):
        who.call("DELETE", f"/projects/{tenant.project}")
    (job,) = (row["job_id"]["S"] for row in rows_of(tenant, "jobs"))
    assert who.call("GET", f"/environments/{tenant.environment}").status == 404
    step(tenant, job)
    for token in made.tokens[:2]:
        assert tenant.exchange(token["token"]).code == "environment_closed"
    assert_ended(tenant, "project", [made], job)


def test_a_function_whose_time_is_up_goes_on_in_the_next_step(tenant: Tenant) -> None:
    made, job = story(tenant, "organization")
    for looks in (0, 0, 1, 2, 3):
        row = step(tenant, job, Ending(looks))
        assert (row.status, int(row.attempts)) == (jobs.RUNNING, 0)
    assert_ended(tenant, "organization", made, job)


def test_a_deletion_that_never_succeeds_fails_and_asking_again_starts_it_again(
    tenant: Tenant,
) -> None:
    who, made = admin(tenant), fleet(tenant, tenant.environment)
    job = delete(who, "environment", tenant.environment)["job_id"]
    with injected(faults.DENIED, times=faults.ALWAYS, on="Query"):
        row = run(tenant, job)
    assert (row.status, row.last_error) == (jobs.FAILED, "store_unavailable")
    assert who.call("GET", f"/environments/{tenant.environment}").status == 404
    assert tenant.exchange(made.tokens[0]["token"]).code == "environment_closed"
    again = delete(who, "environment", tenant.environment)
    assert (again["job_id"], again["status"]) == (job, "queued")
    assert run(tenant, job).status == jobs.DONE
    assert made.statuses() == {"revoked"}


def _mirror(tenant: Tenant, user: str) -> PersonItem:
    return PersonItem(user, f"organization#{tenant.organization}")


@pytest.mark.parametrize("role", ["org_admin", "viewer"])
def test_a_members_missing_mirror_stops_no_deletion(tenant: Tenant, role: str) -> None:
    who, other = admin(tenant), person(tenant, role)
    _mirror(tenant, other.user).delete()
    job = delete(who, "organization", tenant.organization)["job_id"]
    row = run(tenant, job)
    assert row.status == jobs.DONE, row.last_error
    # Whatever is left is forgotten with the tombstone.
    left = list(PersonItem.query(other.user, PersonItem.item.startswith("organization#")))
    assert all(mirror.ttl is not None for mirror in left)


def test_what_can_never_be_taken_away_ends_the_job_as_failed(tenant: Tenant) -> None:
    who, other = admin(tenant), person(tenant, "viewer")
    # No row of ours is like this one, which is another organization's.
    _mirror(tenant, other.user).update([PersonItem.organization.set("org_another")])
    job = delete(who, "organization", tenant.organization)["job_id"]
    row = run(tenant, job)
    assert (row.status, row.last_error) == (jobs.FAILED, "refused")
    # Asked for once more when it is mended, it comes to its end.
    _mirror(tenant, other.user).update([PersonItem.organization.set(tenant.organization)])
    assert delete(who, "organization", tenant.organization)["job_id"] == job
    assert run(tenant, job).status == jobs.DONE
