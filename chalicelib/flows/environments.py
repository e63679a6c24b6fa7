"""Environments: creating, reading, changing and listing them."""

from collections.abc import Callable
from typing import Annotated, Self

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.organization_events import EnvironmentCreated, EnvironmentUpdated
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import AgentVersion, DisplayName, ProjectId
from chalicelib.flows.authorization import Authority
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import (
    active,
    cut,
    name_taken,
    organization_closed,
    refuse_older_namesake,
    rename,
)
from chalicelib.release_manifest import LATEST, Manifest
from chalicelib.store import audit_records, organizations, parents
from chalicelib.store.organizations import (
    DEFAULT_HEARTBEAT_INTERVAL,
    OrganizationItem,
    project_row,
)
from chalicelib.store.transaction import Transaction

Interval = Annotated[int, msgspec.Meta(ge=1, le=3600)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
ALL_AGENTS = 100


class CreateEnvironmentRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """An environment to be. Its name is unique in the project, without regard to case."""

    project: ProjectId
    name: DisplayName
    heartbeat_interval_seconds: Interval = DEFAULT_HEARTBEAT_INTERVAL


class UpdateEnvironmentRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What to change; null ends a slow-down, or the request for a version.

    `slowdown_seconds` is the least interval while it stands. `agent_version` is what the agents are
    to upgrade to, `agent_rollout_percent` for how many of them.
    """

    name: DisplayName | None = None
    heartbeat_interval_seconds: Interval | None = None
    slowdown_seconds: Interval | msgspec.UnsetType | None = msgspec.UNSET
    agent_version: AgentVersion | msgspec.UnsetType | None = msgspec.UNSET
    agent_rollout_percent: Percent | None = None


class Controlled(msgspec.Struct, frozen=True):
    """What an environment's row says to all its agents."""

    heartbeat_interval: int
    slowdown: int | None
    agent_version: str | None
    agent_rollout_percent: int

    @classmethod
    def of(cls, row: OrganizationItem) -> Self:
        """As the row has it."""
        percent = row.agent_rollout_percent
        return cls(
            int(row.heartbeat_interval or DEFAULT_HEARTBEAT_INTERVAL),
            int(row.slowdown) if row.slowdown else None,
            row.agent_version,
            ALL_AGENTS if percent is None else int(percent),
        )

    def changed(self, request: UpdateEnvironmentRequest) -> "Controlled":
        """As it is to be."""
        slowdown, version = request.slowdown_seconds, request.agent_version
        percent = request.agent_rollout_percent
        return Controlled(
            request.heartbeat_interval_seconds or self.heartbeat_interval,
            self.slowdown if isinstance(slowdown, msgspec.UnsetType) else slowdown,
            self.agent_version if isinstance(version, msgspec.UnsetType) else version,
            self.agent_rollout_percent if percent is None else percent,
        )


def add(
    transaction: Transaction,
    organization: str,
    environment: str,
    *,
    project: str,
    name: str,
    heartbeat_interval: int,
    fingerprint_key: bytes | None,
    now: int,
    by: str,
) -> OrganizationItem:
    """Add an environment and its name's reservation.

    It has a copy of the organization's key for machine ids, so that an exchange reads no more rows.
    """
    row = OrganizationItem(
        organization,
        f"environment#{environment}",
        project=project,
        name=name,
        heartbeat_interval=heartbeat_interval,
        fingerprint_key=fingerprint_key,
        created_at=now,
        created_by=by,
        revision=1,
    )
    parents.put_new(transaction, row)
    parents.reserve_name(transaction, row, name, created_at=now)
    return row


def create(
    patience: Patience,
    origin: Origin,
    organization: OrganizationItem,
    request: CreateEnvironmentRequest,
) -> OrganizationItem:
    """Create an environment of an organization, whose row the authorization has read.

    Neither the project nor the organization may be being deleted: whoever deletes them closes
    every environment that there is, and there must be none that comes later.

    Raises:
        NotFound: the project is being deleted.
        Conflict: another environment of the project has the name.
        Forbidden: the organization is being deleted.
    """
    environment = ids.new(ids.ENVIRONMENT)
    for _ in patience.rounds():
        transaction, row = _creation(origin, organization, environment, request)
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


def _creation(
    origin: Origin,
    organization: OrganizationItem,
    environment: str,
    request: CreateEnvironmentRequest,
) -> tuple[Transaction, OrganizationItem]:
    transaction = Transaction()
    row = add(
        transaction,
        origin.organization,
        environment,
        project=request.project,
        name=request.name,
        heartbeat_interval=request.heartbeat_interval_seconds,
        fingerprint_key=organization.fingerprint_key,
        now=origin.now,
        by=origin.actor_id,
    )
    refuse_older_namesake(row, request.name)
    organizations.check_active(
        transaction, "project", project_row(origin.organization, request.project)
    )
    parents.check_active(transaction, origin.organization)
    audit_records.put(transaction, _created(origin, environment, request))
    return transaction, row


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
    patience: Patience,
    origin: Origin,
    environment: str,
    request: UpdateEnvironmentRequest,
    manifest: Callable[[str], Manifest],
) -> OrganizationItem:
    """Rename an environment, or change what its agents are told.

    Args:
        patience: how contention is waited out.
        origin: who changes it.
        environment: which environment.
        request: what to change.
        manifest: reads the manifest of a published version, or raises NotFound.

    Nothing is written where it is as wanted already. Workers may go on with the interval that
    they know for ten seconds, and an agent learns of it with its next beat.

    Raises:
        Malformed: nothing to change was given.
        NotFound: it is being deleted.
        Conflict: another environment of the project has the name, or the version was not
            published.
        Unavailable: the releases cannot be read.
    """
    if request == UpdateEnvironmentRequest():
        raise Malformed("Give something to change.", code="nothing_to_change")
    for _ in patience.rounds():
        row = active(origin.organization, "environment", environment)
        if isinstance(request.agent_version, str) and request.agent_version != row.agent_version:
            _check_published(request.agent_version, manifest)
        name = request.name if request.name is not None else str(row.name)
        before = Controlled.of(row)
        after = before.changed(request)
        if (row.name, before) == (name, after):
            return row
        transaction = Transaction()
        parents.change(transaction, row, name=name, **msgspec.structs.asdict(after))
        rename(transaction, row, name, origin.now)
        audit_records.put(transaction, _updated(origin, environment, row, name, after))
        cancelled = transaction.write()
        if cancelled is not None and "name" in cancelled.refused:
            raise name_taken("environment", "project")
    raise AssertionError("unreachable: patience raises")


def _check_published(version: str, manifest: Callable[[str], Manifest]) -> None:
    """Refuse a version that no agent could download: each of them would try it in vain."""
    try:
        manifest(version)
    except NotFound as error:
        try:
            latest: str | None = manifest(LATEST).version
        except NotFound:
            latest = None
        told = f"The latest published version is {latest}." if latest else "None was published yet."
        raise Conflict(
            f"Version {version} of the agent has not been published to this stage. {told} "
            "Publish it first: python -m infra publish-agent.",
            code="agent_version_not_published",
            extra={"latest_version": latest},
        ) from error


def _updated(
    origin: Origin, environment: str, row: OrganizationItem, name: str, after: Controlled
) -> Evidence:
    before = Controlled.of(row)
    return success(
        origin,
        EnvironmentUpdated(
            environment_id=environment,
            name=name,
            previous_name=str(row.name),
            heartbeat_interval_seconds=after.heartbeat_interval,
            previous_heartbeat_interval_seconds=before.heartbeat_interval,
            slowdown_seconds=after.slowdown,
            previous_slowdown_seconds=before.slowdown,
            agent_version=after.agent_version,
            previous_agent_version=before.agent_version,
            agent_rollout_percent=after.agent_rollout_percent,
            previous_agent_rollout_percent=before.agent_rollout_percent,
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
