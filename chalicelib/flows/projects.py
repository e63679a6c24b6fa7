"""Projects: creating, reading, renaming and listing them."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, Forbidden, NotFound
from chalicelib.evidence.organization_events import ProjectCreated, ProjectUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName
from chalicelib.flows.authorization import Authority
from chalicelib.flows.contention import Patience
from chalicelib.permissions import Permission
from chalicelib.store import audit_records, organizations, parents
from chalicelib.store.organizations import ACTIVE, OrganizationItem
from chalicelib.store.table import Table
from chalicelib.store.transaction import Transaction


class CreateProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project to be. Its name is unique in the organization, without regard to case."""

    name: DisplayName


class UpdateProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new name."""

    name: DisplayName


def add(
    transaction: Transaction, organization: str, project: str, *, name: str, now: int, by: str
) -> OrganizationItem:
    """Add a project and the reservation of its name."""
    row = OrganizationItem(
        organization, f"project#{project}", name=name, created_at=now, created_by=by, revision=1
    )
    parents.put_new(transaction, row)
    parents.reserve_name(transaction, row, name, created_at=now)
    return row


def create(patience: Patience, origin: Origin, request: CreateProjectRequest) -> OrganizationItem:
    """Create a project.

    Raises:
        Conflict: another project has the name.
        Forbidden: the organization is being deleted.
    """
    project = ids.new(ids.PROJECT)
    for _ in patience.rounds():
        transaction = Transaction()
        row = add(
            transaction,
            origin.organization,
            project,
            name=request.name,
            now=origin.now,
            by=origin.actor_id,
        )
        refuse_older_namesake(row, request.name)
        parents.check_active(transaction, origin.organization)
        audit_records.put(
            transaction,
            success(
                origin,
                ProjectCreated(project_id=project, name=request.name),
                resource=("project", project),
                project=project,
            ),
        )
        cancelled = transaction.write()
        # A row of an identifier so random is ours: the SDK repeated it after a lost answer.
        if cancelled is None or row.item in cancelled.refused:
            return row
        if "name" in cancelled.refused:
            raise name_taken("project", "organization")
        if not cancelled.contended:
            raise organization_closed()
    raise AssertionError("unreachable: patience raises")


def update(
    patience: Patience, origin: Origin, project: str, request: UpdateProjectRequest
) -> OrganizationItem:
    """Rename a project; nothing is written where it has that name already.

    Raises:
        NotFound: it is being deleted.
        Conflict: another project has the name.
    """
    for _ in patience.rounds():
        row = active(origin.organization, "project", project)
        if row.name == request.name:
            return row
        transaction = Transaction()
        parents.change(transaction, row, name=request.name)
        rename(transaction, row, request.name, origin.now)
        audit_records.put(
            transaction,
            success(
                origin,
                ProjectUpdated(project_id=project, name=request.name, previous_name=str(row.name)),
                resource=("project", project),
                project=project,
            ),
        )
        cancelled = transaction.write()
        if cancelled is not None and "name" in cancelled.refused:
            raise name_taken("project", "organization")
    raise AssertionError("unreachable: patience raises")


def page(
    authority: Authority, after: str | None, limit: int
) -> tuple[list[OrganizationItem], str | None]:
    """The projects that may be shown, in order of their identifiers; and where to go on."""
    rows = organizations.listed(authority.organization.organization, "project", after)
    return cut((row for row in rows if _is_shown(authority, parents.identifier(row))), limit)


def _is_shown(authority: Authority, project: str) -> bool:
    closed = authority.organization.closed or set()
    return project not in closed and authority.holds(Permission.VIEW_PROJECT, project)


# --------------------------------------------------- what projects and environments share


def cut(rows: Iterator[OrganizationItem], limit: int) -> tuple[list[OrganizationItem], str | None]:
    """A page of rows, and the identifier after which the next one begins, if there is one."""
    found = list(islice(rows, limit + 1))
    shown = found[:limit]
    return shown, parents.identifier(shown[-1]) if len(found) > limit else None


def active(organization: str, kind: str, identifier: str) -> OrganizationItem:
    """A project or environment as it is now.

    Raises:
        NotFound: there is none, or it is being deleted.
    """
    row = organizations.find(organization, f"{kind}#{identifier}")
    if row is None or row.status != ACTIVE:
        raise NotFound(f"There is no such {kind}.", code=f"{kind}_not_found")
    return row


def of_route(row: Table | None) -> OrganizationItem:
    """The row that a route names, as the authorization has read it."""
    if isinstance(row, OrganizationItem):
        return row
    raise AssertionError("the route names no project or environment")


def rename(transaction: Transaction, row: OrganizationItem, name: str, now: int) -> None:
    """Add that the names change hands, where they differ by more than case and spelling.

    Raises:
        Conflict: another one was given the name before names had a normal form.
    """
    if name == row.name or parents.keeps_reservation(row, name):
        return
    refuse_older_namesake(row, name)
    parents.release_name(transaction, row, but=name)
    parents.reserve_name(transaction, row, name, created_at=now)


def refuse_older_namesake(row: OrganizationItem, name: str) -> None:
    """Refuse a name that another one holds under a key of before names had a normal form.

    Such reservations come from no request of today, so reading them before the transaction is
    enough; those of today the transaction itself refuses.

    Raises:
        Conflict: another one holds it.
    """
    if parents.has_older_namesake(row, name):
        kind = row.item.partition("#")[0]
        raise name_taken(kind, "project" if kind == "environment" else "organization")


def name_taken(kind: str, parent: str) -> Conflict:
    """The answer to a name that another one has."""
    return Conflict(f"Another {kind} of this {parent} has this name.", code="name_taken")


def organization_closed() -> Forbidden:
    """The answer to everything while the organization is being deleted."""
    return Forbidden("The organization is being deleted.", code="organization_closed")
