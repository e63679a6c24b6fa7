"""How a session leaves us: as a cookie that no page's script can read, or in the body."""

from typing import Any

from chalice import Response
from chalice.app import Request

from chalicelib import runtime
from chalicelib.api import cross_site
from chalicelib.api.bearers import COOKIE
from chalicelib.api.problems import answer
from chalicelib.errors import Forbidden
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows.my_organizations import Belonging
from chalicelib.flows.sessions import LONGEST_USER_AGENT, Opened, Visit

_ATTRIBUTES = "Path=/; HttpOnly; Secure; SameSite=Lax"


def visit(request: Request) -> Visit:
    """Where a request comes from that shows no credential."""
    context = request.context
    said = str(request.headers.get("user-agent") or "")
    printable = "".join(character for character in said if character.isprintable())
    return Visit(
        request_id=str(context.get("requestId", "")),
        source_address=(context.get("identity") or {}).get("sourceIp"),
        user_agent=printable[:LONGEST_USER_AGENT] or None,
        now=runtime.current().clock(),
    )


def check_door(request: Request, *, cookie: bool = True) -> None:
    """Let only our own pages, and clients that are no browsers, come in.

    Another site could else make a browser log in as somebody of its choosing.

    Args:
        request: one that is answered with a session.
        cookie: whether the session goes into a cookie. A browser's page never gets it itself.

    Raises:
        Forbidden: another site's page sends it, or one that asks for the session itself.
    """
    cross_site.check(request)
    headers = request.headers
    if not cookie and (headers.get("origin") or headers.get("sec-fetch-site")):
        raise Forbidden("A browser is given the session as a cookie.", code="cookie_required")


def opened(
    session: Opened, here: Belonging, everywhere: list[Belonging] | None = None, *, cookie: bool
) -> Response:
    """The answer to whoever came in.

    Args:
        session: what was opened.
        here: the organization that it is bound to.
        everywhere: where else the person may go, if that is known.
        cookie: in a cookie; else in the body.
    """
    body: dict[str, Any] = {
        "user_id": session.user,
        "role": here.member.role,
        "organization": session.organization,
        "session_id": session.id,
        "session_expires_at": rfc3339(session.expires_at),
    }
    if everywhere is not None:
        body["organizations"] = [organization(one) for one in everywhere]
    if not cookie:
        return answer({**body, "session": session.secret})
    seconds = max(0, (session.expires_at - runtime.current().clock()) // 1000)
    return _with_cookie(answer(body), session.secret, seconds)


def over(body: dict[str, Any]) -> Response:
    """An answer after which a browser has no session any more."""
    return _with_cookie(answer(body), "", 0)


def organization(belonging: Belonging) -> dict[str, Any]:
    """An organization as its member sees it."""
    return {
        "organization_id": belonging.organization.organization,
        "name": belonging.organization.name,
        "role": belonging.member.role,
        "projects": belonging.member.projects or {},
    }


def _with_cookie(response: Response, value: str, seconds: int) -> Response:
    response.headers["Set-Cookie"] = f"{COOKIE}={value}; Max-Age={seconds}; {_ATTRIBUTES}"
    return response
