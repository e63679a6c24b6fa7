"""Organizations."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, organization_shapes, requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.errors import NotFound
from chalicelib.flows import deletion, my_organizations
from chalicelib.flows import organizations as organization_flow
from chalicelib.store.organizations import OrganizationItem

_LIST = "organizations"
api = Api(__name__, prefix="/api/v1/organizations")


@api.route("", methods=["GET"])
def list_organizations(caller: Caller) -> Response:
    """The organizations that the person belongs to."""
    wanted = lists.paging(api.current_request, caller.origin.organization, _LIST)
    found, after = my_organizations.page(caller.origin.actor_id, wanted.after, wanted.limit)
    shown = [organization_shapes.belonging(one) for one in found]
    return wanted.answer("organizations", shown, after)


@api.route("", methods=["POST"])
def create_organization(caller: Caller) -> Response:
    """Create an organization; its creator becomes org_admin."""
    wanted = requests.body(api.current_request, organization_flow.CreateOrganizationRequest)
    row = organization_flow.create(runtime.current().patience, caller.origin, wanted)
    return answer(organization_shapes.organization(row), 201)


@api.route("/{organization_id}", methods=["GET"])
def get_organization(caller: Caller, organization_id: str) -> Response:
    """The caller's organization, also while it is being deleted and for a while after."""
    requests.query(api.current_request)
    return answer(organization_shapes.organization(_own(caller, organization_id)))


@api.route("/{organization_id}", methods=["PATCH"])
def update_organization(caller: Caller, organization_id: str) -> Response:
    """Rename the organization."""
    wanted = requests.body(api.current_request, organization_flow.UpdateOrganizationRequest)
    _own(caller, organization_id)
    row = organization_flow.update(runtime.current().patience, caller.origin, wanted)
    return answer(organization_shapes.organization(row))


@api.route("/{organization_id}", methods=["DELETE"])
def delete_organization(caller: Caller, organization_id: str) -> Response:
    """Close the organization, and delete it with everything in it by a job."""
    requests.query(api.current_request)
    row = _own(caller, organization_id)
    found = deletion.request(runtime.current().patience, caller.origin, row, row)
    shape = organization_shapes.organization(found.row)
    return answer({**shape, "job": shapes.job(found.job)}, 202)


def _own(caller: Caller, organization_id: str) -> OrganizationItem:
    # A credential is bound to one organization: every other one is as good as none.
    row = caller.operator.organization
    if row.organization != organization_id:
        raise NotFound("There is no such organization.", code="organization_not_found")
    return row
