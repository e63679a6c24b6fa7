"""Projects of an organization."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, organization_shapes, requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import deletion
from chalicelib.flows import projects as project_flow

_LIST = "projects"
api = Api(__name__, prefix="/api/v1/projects")


@api.route("", methods=["GET"])
def list_projects(caller: Caller) -> Response:
    """The projects that the caller may see."""
    wanted = lists.paging(api.current_request, caller.origin.organization, _LIST)
    rows, after = project_flow.page(caller.operator, wanted.after, wanted.limit)
    return wanted.answer("projects", [organization_shapes.project(row) for row in rows], after)


@api.route("", methods=["POST"])
def create_project(caller: Caller) -> Response:
    """Create a project."""
    wanted = requests.body(api.current_request, project_flow.CreateProjectRequest)
    row = project_flow.create(runtime.current().patience, caller.origin, wanted)
    return answer(organization_shapes.project(row), 201)


@api.route("/{project_id}", methods=["GET"])
def get_project(caller: Caller, project_id: str) -> Response:
    """One project."""
    requests.query(api.current_request)
    del project_id  # the caller's row
    row = project_flow.of_route(caller.row)
    return answer(organization_shapes.project(row))


@api.route("/{project_id}", methods=["PATCH"])
def update_project(caller: Caller, project_id: str) -> Response:
    """Rename a project."""
    wanted = requests.body(api.current_request, project_flow.UpdateProjectRequest)
    row = project_flow.update(runtime.current().patience, caller.origin, project_id, wanted)
    return answer(organization_shapes.project(row))


@api.route("/{project_id}", methods=["DELETE"])
def delete_project(caller: Caller, project_id: str) -> Response:
    """Close a project, and delete it with everything in it by a job."""
    requests.query(api.current_request)
    del project_id  # the caller's row
    tenant = caller.operator.organization
    row = project_flow.of_route(caller.row)
    found = deletion.request(runtime.current().patience, caller.origin, tenant, row)
    return answer({**organization_shapes.project(found.row), "job": shapes.job(found.job)}, 202)
