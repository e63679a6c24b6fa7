"""The events about organizations, their projects and environments.

The rules are those of `events`: members are append-only, and nothing here has room for a secret.
A deletion begins with an event of its own, which names the job, and not with `job.started`: that
one is about an enrollment token, and what a consumer was once promised stays required.
"""

from chalicelib.evidence.events import Detail


class OrganizationCreated(Detail, frozen=True, kw_only=True):
    """A person created an organization and is its first org_admin."""

    NAME = "organization.created"
    name: str
    user_id: str


class OrganizationUpdated(Detail, frozen=True, kw_only=True):
    """An organization was renamed."""

    NAME = "organization.updated"
    name: str
    previous_name: str


class OrganizationDeletionRequested(Detail, frozen=True, kw_only=True):
    """An organization is closed from now on, and its deletion has begun."""

    NAME = "organization.deletion_requested"
    job_id: str


class OrganizationDeleted(Detail, frozen=True, kw_only=True):
    """An organization ended, after everything that was its own."""

    NAME = "organization.deleted"
    name: str
    job_id: str


class ProjectCreated(Detail, frozen=True, kw_only=True):
    """A project was created."""

    NAME = "project.created"
    project_id: str
    name: str


class ProjectUpdated(Detail, frozen=True, kw_only=True):
    """A project was renamed."""

    NAME = "project.updated"
    project_id: str
    name: str
    previous_name: str


class ProjectDeletionRequested(Detail, frozen=True, kw_only=True):
    """A project is closed from now on, and its deletion has begun."""

    NAME = "project.deletion_requested"
    project_id: str
    job_id: str


class ProjectDeleted(Detail, frozen=True, kw_only=True):
    """A project ended, after everything in it."""

    NAME = "project.deleted"
    project_id: str
    name: str
    job_id: str


class EnvironmentCreated(Detail, frozen=True, kw_only=True):
    """An environment was created."""

    NAME = "environment.created"
    environment_id: str
    name: str
    heartbeat_interval_seconds: int


class EnvironmentUpdated(Detail, frozen=True, kw_only=True):
    """An environment was renamed, or its agents are told another interval or version."""

    NAME = "environment.updated"
    environment_id: str
    name: str
    previous_name: str
    heartbeat_interval_seconds: int
    previous_heartbeat_interval_seconds: int
    slowdown_seconds: int | None = None
    previous_slowdown_seconds: int | None = None
    agent_version: str | None = None
    previous_agent_version: str | None = None
    agent_rollout_percent: int = 100
    previous_agent_rollout_percent: int = 100


class EnvironmentDeletionRequested(Detail, frozen=True, kw_only=True):
    """An environment is closed from now on, and its deletion has begun."""

    NAME = "environment.deletion_requested"
    environment_id: str
    job_id: str


class EnvironmentDeleted(Detail, frozen=True, kw_only=True):
    """An environment ended, after all its agents and enrollment tokens."""

    NAME = "environment.deleted"
    environment_id: str
    name: str
    job_id: str
