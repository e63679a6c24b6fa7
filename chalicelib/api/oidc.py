"""An organization's identity provider, and logging in with it.

What speaks to providers is imported by the views that need it: heartbeats do not pay for it.
"""

from typing import TYPE_CHECKING, Any

from chalice import Response
from chalice.app import Request

from chalicelib import ids, runtime
from chalicelib.api import bearers, requests, session_answers
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.errors import Forbidden, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import my_organizations
from chalicelib.flows.sessions import moved

if TYPE_CHECKING:
    from chalicelib.flows.oidc_login import Tools
    from chalicelib.store.identity_providers import IdentityProvider

COOKIE = "__Host-rollcall_oidc"
_CALLBACK = "/auth/oidc/{organization_id}/callback"
_COOKIE_SECONDS = 600
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"
_PROVIDER = "/organizations/{organization_id}/identity-provider"
# Codes of some providers have more than a thousand characters. What is longer than this, some
# provider would refuse as no request at all.
_LONGEST_PARAMETER = 2048
_NO_TRACE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
api = Api(__name__)


@api.route(_PROVIDER, methods=["GET"])
def get_identity_provider(organization_id: str, caller: Caller) -> Response:
    """The configuration, without the client's secret."""
    from chalicelib.flows import oidc_configuration  # noqa: PLC0415

    requests.query(api.current_request)
    _require_own(organization_id, caller)
    return answer(_shape(organization_id, oidc_configuration.get(organization_id)))


@api.route(_PROVIDER, methods=["PUT"])
def put_identity_provider(organization_id: str, caller: Caller) -> Response:
    """Set the configuration as a whole."""
    from chalicelib.flows import oidc_configuration  # noqa: PLC0415

    wanted = requests.body(api.current_request, oidc_configuration.IdentityProviderRequest)
    _require_own(organization_id, caller)
    now = runtime.current()
    provider = oidc_configuration.put(now.keyring, now.patience, caller.origin, wanted)
    return answer(_shape(organization_id, provider))


@api.route(_PROVIDER, methods=["DELETE"])
def delete_identity_provider(organization_id: str, caller: Caller) -> Response:
    """Take the provider away."""
    from chalicelib.flows import oidc_configuration  # noqa: PLC0415

    requests.query(api.current_request)
    _require_own(organization_id, caller)
    oidc_configuration.remove(runtime.current().patience, caller.origin)
    return answer({"status": oidc_configuration.REMOVED})


@api.route("/auth/oidc/{organization_id}/start", methods=["GET"])
def start_oidc_login(organization_id: str) -> Response:
    """Send the browser to the organization's provider."""
    from chalicelib.flows import oidc_login  # noqa: PLC0415

    requests.query(api.current_request)
    _require_own_navigation(api.current_request)
    _require_identifier(organization_id)
    request = api.current_request
    visit = session_answers.visit(request)
    redirect_uri = _redirect_uri(request, organization_id)
    started = oidc_login.start(_tools(), visit, organization_id, redirect_uri)
    cookie = f"{COOKIE}={started.cookie}; {_ATTRIBUTES}; Max-Age={_COOKIE_SECONDS}"
    return Response("", {"Location": started.url, "Set-Cookie": cookie, **_NO_TRACE}, 302)


@api.route(_CALLBACK, methods=["GET"])
def finish_oidc_login(organization_id: str) -> Response:
    """Take the provider's answer and open a session."""
    from chalicelib.flows import oidc_login  # noqa: PLC0415

    request = api.current_request
    given = _returned(request)
    _require_identifier(organization_id)
    returned = oidc_login.Returned(
        organization=organization_id,
        cookie=bearers.cookie(request, COOKIE),
        state=given.get("state"),
        code=given.get("code"),
        issuer=given.get("iss"),
        error=given.get("error"),
    )
    visit = session_answers.visit(request)
    redirect_uri = _redirect_uri(request, organization_id)
    session = oidc_login.finish(_tools(), visit, returned, redirect_uri)
    (here,) = my_organizations.read(session.user, [session.organization]) or (None,)
    if here is None:
        raise moved()
    done = session_answers.opened(session, here, cookie=True)
    # What the login kept in the browser has served.
    spent = f"{COOKIE}=; {_ATTRIBUTES}; Max-Age=0"
    done.headers |= {**_NO_TRACE, "Set-Cookie": [done.headers["Set-Cookie"], spent]}
    return done


def _require_identifier(organization: str) -> None:
    from chalicelib.flows import oidc_configuration  # noqa: PLC0415

    if not ids.is_a(ids.ORGANIZATION, organization):
        raise oidc_configuration.unknown()


def _require_own_navigation(request: Request) -> None:
    # An organization's admin decides whom its provider vouches for: another site could else log a
    # browser in as somebody of its choosing, in an organization of its choosing.
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Forbidden("Another site's page began this login.", code="cross_site_request")


def _returned(request: Request) -> dict[str, str]:
    """The parameters that are read; a provider may send others (RFC 6749, section 4.1.2)."""
    given: dict[str, str] = {}
    sent = request.to_original_event()["multiValueQueryStringParameters"] or {}
    for name in ("state", "code", "iss", "error"):
        values = sent.get(name, [])
        if len(values) > 1 or any(
            not (value.isascii() and value.isprintable()) or len(value) > _LONGEST_PARAMETER
            for value in values
        ):
            raise requests.bad_parameter(name, "given more than once, too long, or not printable")
        if values:
            given[name] = values[0]
    return given


def _require_own(organization: str, caller: Caller) -> None:
    # A credential is bound to one organization; another one's is not told from none (law 4).
    if organization != caller.origin.organization:
        raise NotFound("There is no such organization.", code="organization_not_found")


def _tools() -> "Tools":
    from chalicelib.flows.oidc_login import Tools  # noqa: PLC0415

    now = runtime.current()
    return Tools(now.keyring, now.providers, now.patience, now.refusals)


def _redirect_uri(request: Request, organization: str) -> str:
    base = requests.public_url(request, runtime.current().settings.public_url)
    return f"{base}/api/v1{_CALLBACK.format(organization_id=organization)}"


def _shape(organization: str, provider: "IdentityProvider") -> dict[str, Any]:
    return {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret_set": provider.sealed_secret is not None,
        "scopes": provider.scopes,
        "groups_claim": provider.groups_claim,
        "group_roles": provider.group_roles,
        "status": provider.status,
        "changed_at": rfc3339(provider.changed_at),
        "changed_by": provider.changed_by,
        "redirect_uri": _redirect_uri(api.current_request, organization),
    }
