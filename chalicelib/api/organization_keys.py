"""Organization keys. Only people make, rotate and end them."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, member_shapes, requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import organization_keys as key_flow

_LIST = "organization_keys"
api = Api(__name__, prefix="/api/v1/organization-keys")


@api.route("", methods=["POST"])
def create_organization_key(caller: Caller) -> Response:
    """Make a key; its secret is in this answer and nowhere else."""
    wanted = requests.body(api.current_request, key_flow.CreateKeyRequest)
    made = key_flow.create(runtime.current().patience, caller.origin, wanted)
    shape = member_shapes.organization_key(made.row, caller.origin.now)
    return answer({**shape, "organization_key": made.secret}, 201)


@api.route("", methods=["GET"])
def list_organization_keys(caller: Caller) -> Response:
    """Keys, also those that have ended, for some weeks."""
    origin = caller.origin
    wanted = lists.paging(api.current_request, origin.organization, _LIST)
    page = key_flow.page(origin.organization, after=wanted.after, limit=wanted.limit)
    rows = [member_shapes.organization_key(row, origin.now) for row in page.rows]
    return wanted.answer("organization_keys", rows, page.next)


@api.route("/{organization_key_id}", methods=["GET"])
def get_organization_key(caller: Caller, organization_key_id: str) -> Response:
    """One key."""
    requests.query(api.current_request)
    row = key_flow.get(caller.origin.organization, organization_key_id)
    return answer(member_shapes.organization_key(row, caller.origin.now))


@api.route("/{organization_key_id}", methods=["DELETE"])
def revoke_organization_key(caller: Caller, organization_key_id: str) -> Response:
    """End a key: its next request is refused. Doing so twice changes nothing."""
    requests.query(api.current_request)
    row = key_flow.revoke(runtime.current().patience, caller.origin, organization_key_id)
    return answer(member_shapes.organization_key(row, caller.origin.now))


@api.route("/{organization_key_id}/rotate", methods=["POST"])
def rotate_organization_key(caller: Caller, organization_key_id: str) -> Response:
    """Give a key another secret, in this answer and nowhere else; the id stays."""
    wanted = requests.body(api.current_request, key_flow.RotateKeyRequest, optional=True)
    patience = runtime.current().patience
    rotated = key_flow.rotate(patience, caller.origin, organization_key_id, wanted)
    return answer(
        {
            **member_shapes.organization_key(rotated.row, caller.origin.now),
            "organization_key": rotated.secret,
            "ended_secret_early": rotated.ended_secret_early,
        }
    )
