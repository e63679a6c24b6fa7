"""Environments of projects."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, organization_shapes, requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import deletion, projects
from chalicelib.flows import environments as environment_flow

_LIST = "environments"
api = Api(__name__, prefix="/api/v1/environments")


@api.route("", methods=["GET"])
def list_environments(caller: Caller) -> Response:
    """The environments that the caller may see, of one project or of all."""
    wanted = lists.paging(api.current_request, caller.origin.organization, _LIST, "project")
    rows, after = environment_flow.page(
        caller.operator, wanted.given.get("project"), wanted.after, wanted.limit
    )
    shown = [organization_shapes.environment(row) for row in rows]
    return wanted.answer("environments", shown, after)


@api.route("", methods=["POST"])
def create_environment(caller: Caller) -> Response:
    """Create an environment in a project."""
    wanted = requests.body(api.current_request, environment_flow.CreateEnvironmentRequest)
    patience, tenant = runtime.current().patience, caller.operator.organization
    row = environment_flow.create(patience, caller.origin, tenant, wanted)
    return answer(organization_shapes.environment(row), 201)


@api.route("/{environment_id}", methods=["GET"])
def get_environment(caller: Caller, environment_id: str) -> Response:
    """One environment."""
    requests.query(api.current_request)
    del environment_id  # the caller's row
    row = projects.of_route(caller.row)
    return answer(organization_shapes.environment(row))


@api.route("/{environment_id}", methods=["PATCH"])
def update_environment(caller: Caller, environment_id: str) -> Response:
    """Rename an environment, or change how often its agents beat."""
    wanted = requests.body(api.current_request, environment_flow.UpdateEnvironmentRequest)
    now = runtime.current()
    row = environment_flow.update(
        now.patience, caller.origin, environment_id, wanted, now.releases.manifest
    )
    return answer(organization_shapes.environment(row))


@api.route("/{environment_id}", methods=["DELETE"])
def delete_environment(caller: Caller, environment_id: str) -> Response:
    """Close an environment, and delete it with its agents and tokens by a job."""
    requests.query(api.current_request)
    del environment_id  # the caller's row
    tenant = caller.operator.organization
    row = projects.of_route(caller.row)
    found = deletion.request(runtime.current().patience, caller.origin, tenant, row)
    shape = organization_shapes.environment(found.row)
    return answer({**shape, "job": shapes.job(found.job)}, 202)
