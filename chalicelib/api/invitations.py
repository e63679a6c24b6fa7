"""Invitations: made and taken back by org_admins, accepted by whoever holds the secret."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import authentication, lists, member_shapes, requests, session_answers
from chalicelib.api.access import A_PERSON
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import invitations as invitation_flow
from chalicelib.flows import joining, offers

_LIST = "invitations"
_ACCEPT = "POST /api/v1/invitations/accept"
api = Api(__name__, prefix="/api/v1/invitations")


@api.route("", methods=["POST"])
def create_invitation(caller: Caller) -> Response:
    """Invite somebody; the secret is in this answer and nowhere else."""
    wanted = requests.body(api.current_request, invitation_flow.InviteRequest)
    invited = invitation_flow.invite(runtime.current().patience, caller.origin, wanted)
    shape = member_shapes.invitation(invited.row, "pending")
    return answer({**shape, "invitation": invited.secret}, 201)


@api.route("", methods=["GET"])
def list_invitations(caller: Caller) -> Response:
    """Invitations, also those that are over, for some days."""
    origin = caller.origin
    wanted = lists.paging(api.current_request, origin.organization, _LIST)
    page = invitation_flow.page(origin.organization, after=wanted.after, limit=wanted.limit)
    # An invitation ends with its maker's power to invite, which no write to its row tells.
    said = offers.statuses(origin.organization, page.rows, origin.now)
    shown = zip(page.rows, said, strict=True)
    rows = [member_shapes.invitation(row, status) for row, status in shown]
    return wanted.answer("invitations", rows, page.next)


@api.route("/{invitation_id}", methods=["DELETE"])
def revoke_invitation(caller: Caller, invitation_id: str) -> Response:
    """Take an invitation back. Doing so twice changes nothing."""
    requests.query(api.current_request)
    row = invitation_flow.revoke(runtime.current().patience, caller.origin, invitation_id)
    status = invitation_flow.status_of(row, caller.origin.now)
    return answer(member_shapes.invitation(row, status))


@api.route("/accept", methods=["POST"])
def accept_invitation() -> Response:
    """Join an organization: with a new account, or, with a session, as who one is."""
    wanted = requests.body(api.current_request, joining.AcceptRequest)
    new = wanted.makes_an_account()
    claims = offers.read(wanted.invitation)
    now = runtime.current()
    visit = session_answers.visit(api.current_request)
    if new:
        joined = joining.join_with_new_account(now.patience, now.passwords, visit, claims, wanted)
    else:
        origin = visit.origin(claims.organization, _who_is_logged_in())
        joined = joining.join(now.patience, origin, claims)
    return answer(member_shapes.joined(joined), 201)


def _who_is_logged_in() -> str:
    caller = authentication.authenticate(api.current_request, _ACCEPT, A_PERSON, {})
    if caller is None:
        raise AssertionError("a session was asked for")
    return caller.origin.actor_id
