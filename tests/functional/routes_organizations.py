"""Routes of organizations, projects and environments."""

from typing import Any

from chalicelib.flows.environments import CreateEnvironmentRequest, UpdateEnvironmentRequest
from chalicelib.flows.organizations import CreateOrganizationRequest, UpdateOrganizationRequest
from chalicelib.flows.projects import CreateProjectRequest, UpdateProjectRequest
from tests.functional.route import Route
from tests.functional.world import World, nonce

ORGANIZATIONS = "/api/v1/organizations"
ORGANIZATION = f"{ORGANIZATIONS}/{{organization_id}}"
PROJECTS = "/api/v1/projects"
PROJECT = f"{PROJECTS}/{{project_id}}"
ENVIRONMENTS = "/api/v1/environments"
ENVIRONMENT = f"{ENVIRONMENTS}/{{environment_id}}"


def _name(_: World) -> dict[str, Any]:
    # A name of its own each time: they are unique.
    return {"name": nonce()}


def _environment(world: World) -> dict[str, Any]:
    return {"project": world.tenant.project, "name": nonce()}


ROUTES: tuple[Route, ...] = (
    Route("GET", ORGANIZATIONS, query=("limit", "cursor")),
    Route("POST", ORGANIZATIONS, kind=CreateOrganizationRequest, body=_name),
    Route("GET", ORGANIZATION),
    Route("PATCH", ORGANIZATION, kind=UpdateOrganizationRequest, body=_name),
    Route("DELETE", ORGANIZATION, ends=True),
    Route("GET", PROJECTS, query=("limit", "cursor")),
    Route("POST", PROJECTS, kind=CreateProjectRequest, body=_name),
    Route("GET", PROJECT),
    Route("PATCH", PROJECT, kind=UpdateProjectRequest, body=_name),
    Route("DELETE", PROJECT, ends=True),
    Route(
        "GET", ENVIRONMENTS, query=("project", "limit", "cursor"), ids_in_query={"project": "prj"}
    ),
    Route(
        "POST", ENVIRONMENTS, kind=CreateEnvironmentRequest, body=_environment,
        ids_in_body={"project": "prj"},
    ),
    Route("GET", ENVIRONMENT),
    Route(
        "PATCH", ENVIRONMENT, kind=UpdateEnvironmentRequest,
        body=lambda _: {"heartbeat_interval_seconds": 60},
    ),
    Route("DELETE", ENVIRONMENT, ends=True),
)  # fmt: skip
