"""The one path by which every family of credential is checked, in process.

There is no authorizer in front, because its answers may be cached; every request meets the row.
What a route takes stands in `access.ROUTES`.
"""

from chalice.app import Request

from chalicelib import runtime
from chalicelib.api import bearers
from chalicelib.api.access import RUNTIME_KEY, SESSION, Access
from chalicelib.api.callers import Caller, family_of, origin_of, rejected
from chalicelib.credentials import runtime_key
from chalicelib.credentials.outcome import Rejected


def authenticate(
    request: Request, route: str, access: Access, arguments: dict[str, str]
) -> Caller | None:
    """The caller of a route, or None where the route asks for nobody, or asks in its view.

    Raises:
        Unauthenticated: no credential, another family's, or one that is worth nothing.
        Forbidden: a scope or permission is missing, or another site's page sends the request.
        NotFound: what the path names does not exist, or not for this caller.
        Unavailable: the database, or the signing secret, cannot be read.
    """
    if not access.families or access.in_view:
        return None
    bearer = bearers.of(request)
    if bearer is None:
        raise rejected("credential_missing")
    # A browser keeps sessions and nothing else: another family in the cookie is a mistake.
    admitted = {SESSION} & set(access.families) if bearer.from_cookie else access.families
    family = family_of(bearer.raw, tuple(admitted))
    if family == RUNTIME_KEY:
        return _agent(request, bearer.raw, arguments["agent_id"])
    # Most requests are heartbeats: their cold start does not pay for what operators need.
    from chalicelib.api import operators  # noqa: PLC0415

    return operators.operator(request, route, access, family, bearer, arguments)


def _agent(request: Request, raw: str, agent_id: str) -> Caller:
    """The runtime key that calls, by its signature alone: authority is the row, which follows."""
    outcome = runtime_key.read(runtime.current().keyring, raw, runtime.current().clock())
    if isinstance(outcome, Rejected):
        raise rejected(outcome.reason)
    claims = outcome.claims
    if claims.agent != agent_id:
        raise rejected("key_wrong_agent")
    return Caller(origin_of(request, claims.organization, "agent", claims.agent), claims=claims)
