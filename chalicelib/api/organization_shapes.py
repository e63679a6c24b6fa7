"""How organizations, projects and environments look from outside.

No key of an environment has a place here, and nothing of the rows beside them.
"""

from typing import Any

from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import environments
from chalicelib.flows.my_organizations import Belonging
from chalicelib.store import parents
from chalicelib.store.organizations import OrganizationItem


def organization(row: OrganizationItem) -> dict[str, Any]:
    """An organization; `job_id` while it is being deleted, and after."""
    return {
        "organization_id": row.organization,
        "name": row.name,
        "status": row.status,
        "job_id": row.job,
        **_made(row),
    }


def belonging(found: Belonging) -> dict[str, Any]:
    """An organization, and what a person is in it."""
    return {
        **organization(found.organization),
        "role": found.member.role,
        "projects": found.member.projects or {},
    }


def project(row: OrganizationItem) -> dict[str, Any]:
    """A project."""
    return {
        "project_id": parents.identifier(row),
        "name": row.name,
        "status": row.status,
        **_made(row),
    }


def environment(row: OrganizationItem) -> dict[str, Any]:
    """An environment."""
    controlled = environments.Controlled.of(row)
    return {
        "environment_id": parents.identifier(row),
        "project": row.project,
        "name": row.name,
        "status": row.status,
        "heartbeat_interval_seconds": controlled.heartbeat_interval,
        "slowdown_seconds": controlled.slowdown,
        "agent_version": controlled.agent_version,
        "agent_rollout_percent": controlled.agent_rollout_percent,
        **_made(row),
    }


def _made(row: OrganizationItem) -> dict[str, Any]:
    return {"created_at": rfc3339(int(row.created_at)), "created_by": row.created_by}
