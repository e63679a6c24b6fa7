"""Who calls, in the form that the views get; and the answer to whoever shows nothing of worth."""

from typing import TYPE_CHECKING

import msgspec
from chalice.app import Request

from chalicelib import runtime
from chalicelib.api.access import FAMILIES
from chalicelib.credentials.outcome import Rejected
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.errors import Unauthenticated
from chalicelib.evidence.record import Origin
from chalicelib.telemetry import count

if TYPE_CHECKING:
    # An operator's; a heartbeat's cold start does not pay for them.
    from chalicelib.credentials.opaque import OpaqueClaims, OpaqueFamily
    from chalicelib.flows.authorization import Authority
    from chalicelib.store.table import Table

_MESSAGES = {
    "credential_missing": "This route needs an Authorization: Bearer credential.",
    "credential_ambiguous": "The request has several Authorization headers. Send one.",
    "wrong_credential_family": "A credential of this family is not accepted on this route.",
    "key_expired": "The runtime key has expired.",
    "key_wrong_agent": "The runtime key belongs to another agent.",
}


class Caller(msgspec.Struct, frozen=True):
    """Who calls a route, once that may be.

    Args:
        origin: in whose name the request acts.
        authority: what an operator may do; None for an agent.
        claims: of a runtime key, whose authority is the presence row that the flow reads.
        row: what the request names, as the authorization read it.
    """

    origin: Origin
    authority: "Authority | None" = None
    claims: RuntimeClaims | None = None
    row: "Table | None" = None

    @property
    def agent(self) -> RuntimeClaims:
        """The claims of the agent that calls."""
        if self.claims is None:
            raise AssertionError("the route's row admits others than agents")
        return self.claims

    @property
    def operator(self) -> "Authority":
        """What the operator that calls may do."""
        if self.authority is None:
            raise AssertionError("the route's row admits agents")
        return self.authority


def family_of(raw: str, admitted: tuple[str, ...]) -> str:
    """The family of a credential, by its prefix.

    Raises:
        Unauthenticated: none of those that are admitted.
    """
    if not raw.isascii() or not raw.isprintable():
        raise rejected("credential_invalid")
    for prefix in admitted:
        if raw.startswith(prefix):
            return prefix
    wrong = raw.startswith(FAMILIES)
    raise rejected("wrong_credential_family" if wrong else "credential_invalid")


def opaque_claims(raw: str, family: "OpaqueFamily") -> "OpaqueClaims":
    """What an opaque secret says of itself; no request was made.

    Raises:
        Unauthenticated: junk.
    """
    outcome = family.read(raw)
    if isinstance(outcome, Rejected):
        raise rejected(outcome.reason)
    return outcome.claims


def rejected(reason: str, detail: str | None = None) -> Unauthenticated:
    """The answer to a credential that is worth nothing; `detail` says more than the reason does.

    Junk costs a metric and no request: a flood of it must not cost money or hide evidence.
    """
    count("CredentialRejected", reason=reason)
    said = detail or _MESSAGES.get(reason, "The credential was not accepted.")
    return Unauthenticated(said, code=reason)


def origin_of(
    request: Request,
    organization: str,
    actor_type: str,
    actor_id: str,
    credential: str | None = None,
) -> Origin:
    """Where a request comes from, in the name of an actor."""
    context = request.context
    return Origin(
        organization=organization,
        actor_type=actor_type,
        actor_id=actor_id,
        credential=credential,
        request_id=str(context.get("requestId", "")),
        source_address=(context.get("identity") or {}).get("sourceIp"),
        now=runtime.current().clock(),
    )
