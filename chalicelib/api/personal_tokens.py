"""A person's own API tokens."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, login_shapes, requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import personal_tokens as token_flow

api = Api(__name__, prefix="/api/v1/me/tokens")


@api.route("", methods=["POST"])
def mint_personal_token(caller: Caller) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    wanted = requests.body(api.current_request, token_flow.MintPersonalTokenRequest)
    minted = token_flow.mint(runtime.current().patience, caller.origin, wanted)
    shape = login_shapes.personal_token(minted.row, caller.origin.now)
    return answer({**shape, "token": minted.secret}, 201)


@api.route("", methods=["GET"])
def list_personal_tokens(caller: Caller) -> Response:
    """The person's tokens, in all organizations, also those that ended lately."""
    origin = caller.origin
    listing = f"personal tokens of {origin.actor_id}"
    wanted = lists.paging(api.current_request, origin.organization, listing)
    page = token_flow.page(origin.actor_id, after=wanted.after, limit=wanted.limit)
    rows = [login_shapes.personal_token(row, origin.now) for row in page.rows]
    return wanted.answer("personal_tokens", rows, page.after)


@api.route("/{personal_token_id}", methods=["DELETE"])
def revoke_personal_token(caller: Caller, personal_token_id: str) -> Response:
    """End a token: its next request is refused. Twice changes nothing."""
    requests.query(api.current_request)
    row = token_flow.revoke(runtime.current().patience, caller.origin, personal_token_id)
    return answer(login_shapes.personal_token(row, caller.origin.now))
