"""Logging in, out, and over to another organization."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import bearers, requests, session_answers
from chalicelib.api.callers import Caller
from chalicelib.api.views import Api
from chalicelib.errors import DomainError
from chalicelib.flows import login as login_flow
from chalicelib.flows import my_sessions
from chalicelib.flows.login import LoginRequest

api = Api(__name__, prefix="/api/v1/auth")
plain = Api(f"{__name__}_plain", prefix="/api/auth")
"""The same login where scripts of the kind of restic-manager's look for it."""


@api.route("/login", methods=["POST"])
def log_in() -> Response:
    """Open a session for whoever knows the password."""
    request = api.current_request
    wanted = requests.body(request, LoginRequest)
    session_answers.check_door(request, cookie=wanted.cookie)
    now = runtime.current()
    visit = session_answers.visit(request)
    done = login_flow.log_in(now.patience, now.passwords, visit, wanted)
    return session_answers.opened(done.opened, done.here, done.everywhere, cookie=wanted.cookie)


@plain.route("/login", methods=["POST"])
def log_in_plainly() -> Response:
    """The same; what goes wrong is also told as `message`, as those scripts read it."""
    try:
        return log_in()
    except DomainError as error:
        error.extra = {**error.extra, "message": error.detail}
        raise


@api.route("/logout", methods=["POST"])
def log_out(caller: Caller) -> Response:
    """End the session in use: its next request is refused."""
    requests.query(api.current_request)
    my_sessions.log_out(runtime.current().patience, caller.origin)
    session = str(caller.origin.credential)
    return session_answers.over({"session_id": session, "status": "revoked"})


@api.route("/switch", methods=["POST"])
def switch_organization(caller: Caller) -> Response:
    """Go on in another organization, in a new session; the one in use ends."""
    request = api.current_request
    wanted = requests.body(request, my_sessions.SwitchRequest)
    visit = session_answers.visit(request)
    patience = runtime.current().patience
    session, here = my_sessions.switch(patience, caller.origin, visit, wanted.organization)
    # Whoever showed a cookie gets a cookie: no page can trade it for the session itself.
    bearer = bearers.of(request)
    from_cookie = bearer is not None and bearer.from_cookie
    return session_answers.opened(session, here, cookie=from_cookie)
