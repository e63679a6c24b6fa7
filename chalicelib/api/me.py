"""The person who asks: who they are, and their own sessions."""

from typing import Any

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, login_shapes, requests, session_answers
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows import me as me_flow
from chalicelib.flows import my_organizations, my_sessions
from chalicelib.flows.my_organizations import Belonging
from chalicelib.store.people import PersonItem

api = Api(__name__, prefix="/api/v1/me")


@api.route("", methods=["GET"])
def get_me(caller: Caller) -> Response:
    """Who asks, in which organization, and where else they may go."""
    requests.query(api.current_request)
    return answer(_me(caller, my_sessions.find_person(caller.origin.actor_id)))


@api.route("", methods=["PATCH"])
def update_me(caller: Caller) -> Response:
    """Change the display name."""
    wanted = requests.body(api.current_request, me_flow.UpdateMeRequest)
    person = me_flow.update(runtime.current().patience, caller.origin, wanted)
    return answer(_me(caller, person))


def _me(caller: Caller, person: PersonItem) -> dict[str, Any]:
    here = caller.operator
    scopes = here.scopes
    return {
        "user_id": person.pk,
        "username": person.username,
        "display_name": person.display_name,
        "home": person.home,
        "organization": here.organization.organization,
        "role": here.role,
        "projects": here.project_roles,
        "scopes": sorted(scopes) if scopes is not None else None,
        "credential": caller.origin.credential,
        "organizations": [session_answers.organization(one) for one in _known(caller, person)],
    }


def _known(caller: Caller, person: PersonItem) -> list[Belonging]:
    here = caller.operator
    if here.scopes is None or "organization:read" in here.scopes:
        return my_organizations.of_person(person.pk, str(person.home))
    # A token that may not read organizations names none but its own.
    return my_organizations.read(person.pk, [here.organization.organization])


@api.route("/password", methods=["POST"])
def change_password(caller: Caller) -> Response:
    """Change the password; every other session ends."""
    wanted = requests.body(api.current_request, me_flow.ChangePasswordRequest)
    now = runtime.current()
    me_flow.change_password(now.patience, now.passwords, caller.origin, wanted)
    return answer({"user_id": caller.origin.actor_id, "session_id": caller.origin.credential})


@api.route("/sessions", methods=["GET"])
def list_my_sessions(caller: Caller) -> Response:
    """The sessions that have not ended, in all organizations."""
    origin = caller.origin
    listing = f"sessions of {origin.actor_id}"
    wanted = lists.paging(api.current_request, origin.organization, listing)
    page = my_sessions.page(origin.actor_id, after=wanted.after, limit=wanted.limit, now=origin.now)
    rows = [login_shapes.session(row, origin.credential) for row in page.rows]
    return wanted.answer("sessions", rows, page.after)


@api.route("/sessions/{session_id}", methods=["DELETE"])
def revoke_my_session(caller: Caller, session_id: str) -> Response:
    """End a session: its next request is refused. Twice changes nothing."""
    requests.query(api.current_request)
    row = my_sessions.revoke(runtime.current().patience, caller.origin, session_id)
    shape = login_shapes.session(row, caller.origin.credential)
    return session_answers.over(shape) if shape["current"] else answer(shape)


@api.route("/sessions/revoke", methods=["POST"])
def revoke_my_sessions(caller: Caller) -> Response:
    """Log out everywhere; with `keep_current`, everywhere else."""
    wanted = requests.body(api.current_request, my_sessions.RevokeSessionsRequest)
    origin, kept = caller.origin, wanted.keep_current
    my_sessions.log_out_everywhere(runtime.current().patience, origin, keep_current=kept)
    shape = {"user_id": origin.actor_id, "kept_session_id": origin.credential if kept else None}
    return answer(shape) if kept else session_answers.over(shape)
