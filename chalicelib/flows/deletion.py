"""Deleting an organization, a project or an environment: it is closed at once, and a job begins.

From the answer on nobody mints, exchanges or operates below the parent (law 3):

- The transaction that starts the job marks the parent's row and, for a project or environment,
  names it in `closed` of the organization's row, which every operator's request reads. Minting
  and creating environments are conditional on these rows.
- Then every environment below is marked, whose row every exchange reads. Environments are created
  only below active parents, so the strongly consistent list sees all that there will ever be. The
  job repeats this before anything else: whoever asked may die in between.
"""

import hashlib
from collections.abc import Iterator
from typing import Literal

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, NotFound
from chalicelib.evidence.events import Detail
from chalicelib.evidence.organization_events import (
    EnvironmentDeletionRequested,
    OrganizationDeletionRequested,
    ProjectDeletionRequested,
)
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.store import audit_records, jobs, organizations, parents
from chalicelib.store.jobs import JobItem
from chalicelib.store.organizations import ACTIVE, ORGANIZATION, OrganizationItem
from chalicelib.store.transaction import Cancelled, Transaction

Kind = Literal["environment", "project", "organization"]
_TOGETHER = 50


class Parent(msgspec.Struct, frozen=True):
    """What is deleted."""

    organization: str
    kind: Kind
    id: str

    @property
    def item(self) -> str:
        """The `item` of its row."""
        return ORGANIZATION if self.kind == "organization" else f"{self.kind}#{self.id}"

    @property
    def job_kind(self) -> str:
        """The kind of the job that deletes it."""
        return f"delete_{self.kind}"

    @property
    def job(self) -> str:
        """That job; it follows from the parent, so that asking twice finds the same one."""
        seed = f"{self.job_kind}\n{self.organization}\n{self.id}"
        return ids.derived(ids.JOB, hashlib.sha256(seed.encode()).digest())


class Deletion(msgspec.Struct, frozen=True):
    """The parent as it is now, and the job."""

    row: OrganizationItem
    job: JobItem


def of_row(row: OrganizationItem) -> Parent:
    """The parent whose row this is."""
    if row.item == ORGANIZATION:
        return Parent(row.organization, "organization", row.organization)
    kind: Kind = "project" if row.item.startswith("project#") else "environment"
    return Parent(row.organization, kind, parents.identifier(row))


def of_job(organization: str, job: JobItem) -> Parent:
    """The parent that a job deletes.

    Raises:
        KeyError: it is another kind of job.
    """
    kinds: dict[str, Kind] = {
        jobs.DELETE_ENVIRONMENT: "environment",
        jobs.DELETE_PROJECT: "project",
        jobs.DELETE_ORGANIZATION: "organization",
    }
    return Parent(organization, kinds[job.kind], job.target)


def request(
    patience: Patience, origin: Origin, tenant: OrganizationItem, row: OrganizationItem
) -> Deletion:
    """Close a parent and start the job that deletes it; asking twice finds the same job.

    Args:
        patience: how contention is waited out.
        origin: who asks.
        tenant: the organization's row as the authorization read it.
        row: the parent's.

    Raises:
        NotFound: it is gone, or its own parent is being deleted.
        Forbidden: the organization is being deleted.
        Conflict: too many deletions are under way.
        Contention: to be repeated. The job may have begun.
    """
    parent = of_row(row)
    if parent.kind != "organization":
        _check_above(tenant, row, parent)
    for _ in patience.rounds():
        if _is_there(parent, origin.now):
            break
        cancelled = _start(origin, row, parent).write()
        if cancelled is None:
            break
        _check(cancelled, parent)
    close_below(patience, parent)
    job = jobs.find(parent.organization, parent.job)
    now = organizations.find(parent.organization, parent.item)
    if job is None:
        raise _gone(parent)
    return Deletion(now or row, job)


def _check_above(tenant: OrganizationItem, row: OrganizationItem, parent: Parent) -> None:
    # The route admits what is being deleted, for the sake of asking twice.
    if tenant.status != ACTIVE:
        raise organization_closed()
    if parent.kind == "environment" and row.project in (tenant.closed or set()):
        raise _gone(parent)


def _is_there(parent: Parent, now: int) -> bool:
    row = jobs.find(parent.organization, parent.job)
    return row is not None and not jobs.may_start_again(row, now)


def _start(origin: Origin, row: OrganizationItem, parent: Parent) -> Transaction:
    where = _where(row, parent)
    transaction = Transaction()
    parents.close(transaction, row, parent.job)
    jobs.start(
        transaction,
        parent.organization,
        parent.job,
        kind=parent.job_kind,
        target=parent.id,
        note=None,
        origin=origin,
        **where,
    )
    audit_records.put(
        transaction, success(origin, _requested(parent), resource=(parent.kind, parent.id), **where)
    )
    return transaction


def _where(row: OrganizationItem, parent: Parent) -> dict[str, str | None]:
    if parent.kind == "environment":
        return {"project": row.project, "environment": parent.id}
    return {"project": parent.id} if parent.kind == "project" else {}


def _requested(parent: Parent) -> Detail:
    if parent.kind == "environment":
        return EnvironmentDeletionRequested(environment_id=parent.id, job_id=parent.job)
    if parent.kind == "project":
        return ProjectDeletionRequested(project_id=parent.id, job_id=parent.job)
    return OrganizationDeletionRequested(job_id=parent.job)


def _check(cancelled: Cancelled, parent: Parent) -> None:
    """Say why a deletion cannot begin; whatever is not said is worth another look."""
    if "job" in cancelled.refused:
        return
    if "closed" in cancelled.refused:
        raise _gone(parent)
    if ORGANIZATION in cancelled.refused:
        tenant = OrganizationItem.from_item(cancelled.item(ORGANIZATION))
        if tenant is None or tenant.status != ACTIVE:
            raise organization_closed()
        raise Conflict(
            f"{parents.MOST_CLOSED} deletions are under way. Wait until one of them is done.",
            code="too_many_deletions",
        )


def _gone(parent: Parent) -> NotFound:
    return NotFound(f"There is no such {parent.kind}.", code=f"{parent.kind}_not_found")


# --------------------------------------------------------------------- what lies below


def environments_below(parent: Parent) -> Iterator[OrganizationItem]:
    """The environments that end with a parent, in order; one that is deleted is its own."""
    if parent.kind == "environment":
        row = organizations.find_environment(parent.organization, parent.id)
        return iter(() if row is None else (row,))
    project = parent.id if parent.kind == "project" else None
    return parents.environments_of(parent.organization, project)


def close_below(patience: Patience, parent: Parent) -> None:
    """Mark every environment below a parent that is closed: from then on nobody enrolls there.

    Many share a transaction, and where another writer is in the way of one (somebody who mints)
    each has one of its own.

    Raises:
        Contention, Unavailable: some are not marked; to be repeated.
    """
    if parent.kind == "environment":
        return
    left = [row for row in environments_below(parent) if row.status == ACTIVE]
    for start in range(0, len(left), _TOGETHER):
        group = left[start : start + _TOGETHER]
        transaction = Transaction()
        for row in group:
            parents.close_environment(transaction, row)
        if transaction.write() is not None:
            for row in group:
                _close_alone(patience, row)


def _close_alone(patience: Patience, row: OrganizationItem) -> None:
    for _ in patience.rounds():
        transaction = Transaction()
        parents.close_environment(transaction, row)
        cancelled = transaction.write()
        # Refused: it is gone, by a deletion of its own.
        if cancelled is None or not cancelled.contended:
            return
