"""Who calls: one family of credential for each kind of route, all checked in process.

There is no authorizer in front, because its answers may be cached; every request meets the row.
"""

import hmac

from chalice.app import Request

from chalicelib import runtime
from chalicelib.credentials import enrollment_token, organization_key, runtime_key
from chalicelib.credentials.opaque import OpaqueClaims, OpaqueFamily
from chalicelib.credentials.outcome import Rejected
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.errors import Forbidden, Unauthenticated
from chalicelib.evidence.record import Origin
from chalicelib.store import organizations
from chalicelib.telemetry import count

_FAMILIES = ("rcs_", "rcp_", "rco_", "rce_", "rca_", "rcv_")
_MESSAGES = {
    "credential_missing": "This route needs an Authorization: Bearer credential.",
    "wrong_credential_family": "A credential of this family is not accepted on this route.",
    "key_expired": "The runtime key has expired.",
    "key_wrong_agent": "The runtime key belongs to another agent.",
}


def operator(request: Request, scope: str) -> Origin:
    """The organization key that calls.

    Raises:
        Unauthenticated: no key, another family's, or one that is not (any more) in the table.
        Forbidden: the key lacks the scope.
    """
    claims = _opaque(_bearer(request), organization_key.FAMILY)
    row = organizations.find_key(claims.organization, claims.id)
    if (
        row is None
        or row.status != organizations.ACTIVE
        or not hmac.compare_digest(bytes(row.digest or b""), claims.digest)
    ):
        raise _rejected("credential_invalid")
    if scope not in (row.scopes or ()):
        raise Forbidden(f"The organization key lacks the scope {scope}.", code="scope_missing")
    return _origin(request, claims.organization, "organization_key", claims.id)


def agent(request: Request, agent_id: str) -> tuple[Origin, RuntimeClaims]:
    """The runtime key that calls, by its signature alone: authority is the row, which follows.

    Raises:
        Unauthenticated: forged, expired, malformed, or another agent's. No request was made.
        Unavailable: the signing secret cannot be read.
    """
    raw = _bearer(request)
    _require_family(raw, runtime_key.PREFIX)
    outcome = runtime_key.read(runtime.current().keyring, raw, runtime.current().clock())
    if isinstance(outcome, Rejected):
        raise _rejected(outcome.reason)
    claims = outcome.claims
    if claims.agent != agent_id:
        raise _rejected("key_wrong_agent")
    return _origin(request, claims.organization, "agent", claims.agent), claims


def enrollment(request: Request, in_body: str | None) -> tuple[Origin, OpaqueClaims]:
    """The enrollment token of an exchange, from the header or the body; not yet looked up.

    Raises:
        Unauthenticated: none, another family's, or junk. No request was made.
    """
    raw = in_body if in_body is not None else _bearer(request)
    claims = _opaque(raw, enrollment_token.FAMILY)
    return _origin(request, claims.organization, "enrollment_token", claims.id), claims


def holds_runtime_key(request: Request) -> bool:
    """Whether the caller shows a credential of the agents' family, for routes that serve both."""
    header = str(request.headers.get("authorization", ""))
    return header.partition(" ")[2].strip().startswith(runtime_key.PREFIX)


def _opaque(raw: str, family: OpaqueFamily) -> OpaqueClaims:
    _require_family(raw, family.prefix)
    outcome = family.read(raw)
    if isinstance(outcome, Rejected):
        raise _rejected(outcome.reason)
    return outcome.claims


def _bearer(request: Request) -> str:
    scheme, _, credential = str(request.headers.get("authorization", "")).partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise _rejected("credential_missing")
    return credential


def _require_family(raw: str, prefix: str) -> None:
    if not raw.isascii() or not raw.isprintable():
        raise _rejected("credential_invalid")
    if not raw.startswith(prefix):
        wrong = raw.startswith(_FAMILIES)
        raise _rejected("wrong_credential_family" if wrong else "credential_invalid")


def _rejected(reason: str) -> Unauthenticated:
    # Junk costs a metric and no request: a flood of it must not cost money or hide evidence.
    count("CredentialRejected", reason=reason)
    return Unauthenticated(_MESSAGES.get(reason, "The credential was not accepted."), code=reason)


def _origin(request: Request, organization: str, actor_type: str, actor_id: str) -> Origin:
    context = request.context
    return Origin(
        organization=organization,
        actor_type=actor_type,
        actor_id=actor_id,
        request_id=str(context.get("requestId", "")),
        source_address=(context.get("identity") or {}).get("sourceIp"),
        now=runtime.current().clock(),
    )
