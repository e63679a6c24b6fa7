"""Environments: creating, reading, changing and listing them."""

import secrets
from typing import Annotated

import msgspec

from chalicelib import ids
from chalicelib.errors import Malformed, NotFound
from chalicelib.evidence.organization_events import EnvironmentCreated, EnvironmentUpdated
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import ProjectId, ShortText
from chalicelib.flows.authorization import Authority
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import active, cut, name_taken, organization_closed, rename
from chalicelib.store import audit_records, organizations, parents
from chalicelib.store.organizations import (
    DEFAULT_HEARTBEAT_INTERVAL,
    OrganizationItem,
    project_row,
)
from chalicelib.store.transaction import Transaction

Interval = Annotated[int, msgspec.Meta(ge=1, le=3600)]


class CreateEnvironmentRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """An environment to be. Its name is unique in the project, without regard to case."""

    project: ProjectId
    name: ShortText
    heartbeat_interval_seconds: Interval = DEFAULT_HEARTBEAT_INTERVAL


class UpdateEnvironmentRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What to change."""

    name: ShortText | None = None
    heartbeat_interval_seconds: Interval | None = None


def interval_of(row: OrganizationItem) -> int:
    """How often the environment's agents are to beat, in seconds."""
    return int(row.heartbeat_interval or DEFAULT_HEARTBEAT_INTERVAL)


def add(
    transaction: Transaction,
    organization: str,
    environment: str,
    *,
    project: str,
    name: str,
    heartbeat_interval: int,
    now: int,
    by: str,
) -> OrganizationItem:
    """Add an environment, with a key for its hosts' fingerprints, and its name's reservation."""
    row = OrganizationItem(
        organization,
        f"environment#{environment}",
        project=project,
        name=name,
        heartbeat_interval=heartbeat_interval,
        fingerprint_key=secrets.token_bytes(32),
        created_at=now,
        created_by=by,
        revision=1,
    )
    parents.put_new(transaction, row)
    parents.reserve_name(transaction, row, name, created_at=now)
    return row


def create(
    patience: Patience, origin: Origin, request: CreateEnvironmentRequest
) -> OrganizationItem:
    """Create an environment.

    Neither the project nor the organization may be being deleted: whoever deletes them closes
    every environment that there is, and there must be none that comes later.

    Raises:
        NotFound: the project is being deleted.
        Conflict: another environment of the project has the name.
        Forbidden: the organization is being deleted.
    """
    environment = ids.new(ids.ENVIRONMENT)
    for _ in patience.rounds():
        transaction = Transaction()
        row = add(
            transaction,
            origin.organization,
            environment,
            project=request.project,
            name=request.name,
            heartbeat_interval=request.heartbeat_interval_seconds,
            now=origin.now,
            by=origin.actor_id,
        )
        organizations.check_active(
            transaction, "project", project_row(origin.organization, request.project)
        )
        parents.check_active(transaction, origin.organization)
        audit_records.put(transaction, _created(origin, environment, request))
        cancelled = transaction.write()
        # A row of an identifier so random is ours: the SDK repeated it after a lost answer.
        if cancelled is None or row.item in cancelled.refused:
            return row
        if organizations.ORGANIZATION in cancelled.refused:
            raise organization_closed()
        if "project" in cancelled.refused:
            raise NotFound("There is no such project.", code="project_not_found")
        if "name" in cancelled.refused:
            raise name_taken("environment", "project")
    raise AssertionError("unreachable: patience raises")


def _created(origin: Origin, environment: str, request: CreateEnvironmentRequest) -> Evidence:
    return success(
        origin,
        EnvironmentCreated(
            environment_id=environment,
            name=request.name,
            heartbeat_interval_seconds=request.heartbeat_interval_seconds,
        ),
        resource=("environment", environment),
        project=request.project,
        environment=environment,
    )


def update(
    patience: Patience, origin: Origin, environment: str, request: UpdateEnvironmentRequest
) -> OrganizationItem:
    """Rename an environment, or change how often its agents beat.

    Nothing is written where it is as wanted already. Workers may go on with the interval that
    they know for ten seconds, and an agent learns of it with its next beat.

    Raises:
        Malformed: nothing to change was given.
        NotFound: it is being deleted.
        Conflict: another environment of the project has the name.
    """
    if request.name is None and request.heartbeat_interval_seconds is None:
        raise Malformed("Give a name or an interval to change.", code="nothing_to_change")
    for _ in patience.rounds():
        row = active(origin.organization, "environment", environment)
        name = request.name if request.name is not None else str(row.name)
        interval = request.heartbeat_interval_seconds or interval_of(row)
        if (row.name, interval_of(row)) == (name, interval):
            return row
        transaction = Transaction()
        parents.change(transaction, row, name=name, heartbeat_interval=interval)
        rename(transaction, row, name, origin.now)
        audit_records.put(transaction, _updated(origin, environment, row, name, interval))
        cancelled = transaction.write()
        if cancelled is not None and "name" in cancelled.refused:
            raise name_taken("environment", "project")
    raise AssertionError("unreachable: patience raises")


def _updated(
    origin: Origin, environment: str, row: OrganizationItem, name: str, interval: int
) -> Evidence:
    return success(
        origin,
        EnvironmentUpdated(
            environment_id=environment,
            name=name,
            previous_name=str(row.name),
            heartbeat_interval_seconds=interval,
            previous_heartbeat_interval_seconds=interval_of(row),
        ),
        resource=("environment", environment),
        project=row.project,
        environment=environment,
    )


def page(
    authority: Authority, project: str | None, after: str | None, limit: int
) -> tuple[list[OrganizationItem], str | None]:
    """The environments that may be shown, of one project or of all; and where to go on."""
    rows = organizations.listed(authority.organization.organization, "environment", after)
    seen = (
        row
        for row in rows
        if (project is None or row.project == project)
        and authority.sees(row.project, parents.identifier(row))
    )
    return cut(seen, limit)
