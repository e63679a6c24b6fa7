"""What a request is about: the thing that its path names, and the project that it belongs to."""

import msgspec

from chalicelib import ids
from chalicelib.errors import NotFound
from chalicelib.permissions import Kind
from chalicelib.store import agent_identities, enrollment_tokens, jobs, organizations
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.jobs import JobItem
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.table import Key, Table

_FINDERS = {
    "project": (ids.PROJECT, organizations.project_row),
    "environment": (ids.ENVIRONMENT, organizations.environment_row),
    "agent": (ids.AGENT, agent_identities.agent_row),
    "enrollment_token": (ids.ENROLLMENT_TOKEN, enrollment_tokens.token_row),
    "job": (ids.JOB, jobs.job_row),
}


class Target(msgspec.Struct, frozen=True):
    """A kind of thing and the identifier that the caller gave, which may name nothing."""

    kind: Kind
    id: str


def is_identifier(target: Target) -> bool:
    """Whether the text that was given is an identifier of its kind."""
    return ids.is_a(_FINDERS[target.kind][0], target.id)


def row_of(organization: str, target: Target) -> Key | None:
    """Where the target lives; None where the text is no identifier of its kind."""
    _, row = _FINDERS[target.kind]
    return row(organization, target.id) if is_identifier(target) else None


def project_of(target: Target, row: Table) -> tuple[str | None, str | None, bool]:
    """The project and the environment that a target belongs to, and whether they are gone."""
    if isinstance(row, OrganizationItem):
        if target.kind == "project":
            return target.id, None, False
        return row.project, target.id, False
    if isinstance(row, AgentIdentityItem):
        return row.project, row.environment, row.deleted_at is not None
    if isinstance(row, EnrollmentTokenItem):
        return row.project, row.environment, row.deleted_at is not None
    if isinstance(row, JobItem):
        return row.project, row.environment, False
    raise AssertionError(f"no such target: {target.kind}")


def unknown(target: Target, kind: type[NotFound] = NotFound) -> NotFound:
    """The answer to an identifier that names nothing here, or nothing that the caller may see."""
    noun = target.kind.replace("_", " ")
    return kind(f"There is no such {noun}.", code=f"{target.kind}_not_found")
