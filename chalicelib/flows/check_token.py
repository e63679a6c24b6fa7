"""The dry run of an exchange: whether a token would admit this host now. It spends nothing."""

import msgspec

from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.errors import DomainError
from chalicelib.evidence.record import Origin
from chalicelib.flows import admission
from chalicelib.flows.csr import facts_of
from chalicelib.flows.enrollment import EnrollTools, ExchangeRequest
from chalicelib.flows.token_lookup import check_limits, look_up, record_refusal
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem


class Admitted(msgspec.Struct, frozen=True):
    """What the holder of a token that admits this host is told."""

    environment: str
    expires_at: int
    uses_left: int


def check(
    tools: EnrollTools, origin: Origin, claims: OpaqueClaims, request: ExchangeRequest
) -> Admitted:
    """Say whether an exchange of this request would be admitted at this moment.

    The order is that of the exchange: the whole request is checked before the token is looked at,
    and whoever does not hold the token learns nothing. A refusal leaves what a refused exchange
    leaves, because a guess must not be quieter here than there. Nothing else is written: no use,
    no receipt, no name. So the answer promises nothing: another host may be quicker, and whether
    a name is free is known only to the exchange that takes it. A repetition of an exchange whose
    answer was lost is not asked about either; it may be admitted although the token is spent.

    Raises:
        Unauthenticated: the caller does not hold a token.
        Gone, Forbidden, Malformed: the holder is told why.
    """
    if request.csr is not None:
        facts_of(request.csr)
    found = look_up(origin, claims, request, None)
    try:
        found.check_open()
        _raise_if_refused(found.token, origin, request)
        check_limits(found.token, request)
    except DomainError as error:
        record_refusal(tools, origin, found.token, request, error)
        raise
    token = found.token
    return Admitted(
        environment=str(token.environment),
        expires_at=int(token.expires_at),
        uses_left=int(token.max_uses) - int(token.uses),
    )


def _raise_if_refused(token: EnrollmentTokenItem, origin: Origin, request: ExchangeRequest) -> None:
    refused = admission.refusal(
        token, hostname=request.hostname, source_address=origin.source_address, now=origin.now
    )
    if refused is not None:
        raise refused
