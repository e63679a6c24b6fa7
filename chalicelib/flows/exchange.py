"""The exchange: an enrollment token for an identity, in one transaction (law 1)."""

import hashlib
from collections.abc import Iterator

from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.errors import Conflict, DomainError, Gone
from chalicelib.evidence.record import Origin
from chalicelib.flows import admission, replacement
from chalicelib.flows.counting import Counters
from chalicelib.flows.csr import CsrFacts, facts_of
from chalicelib.flows.enrollment import Enrolled, EnrollTools, ExchangeRequest
from chalicelib.flows.new_identity import Candidate, attempt_names
from chalicelib.flows.replay import Replayable, replay
from chalicelib.flows.token_lookup import Found, check_limits, look_up, record_refusal
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem, receipt_row
from chalicelib.store.table import read_as_one
from chalicelib.store.transaction import Cancelled


def exchange(
    tools: EnrollTools,
    origin: Origin,
    claims: OpaqueClaims,
    request: ExchangeRequest,
    idempotency_key: str | None,
) -> Enrolled:
    """Redeem one use of a token for an agent, or hand the same agent out again.

    Everything about the request is checked before the token is looked at. Redeeming, the
    identity, its name, presence, receipt and evidence are one transaction.

    Raises:
        Unauthenticated: the caller does not hold a token.
        Gone, Forbidden, Conflict: the holder is told why; nothing was spent.
        Unavailable: contention or an outage; nothing was spent, or the use has a receipt.
    """
    csr = facts_of(request.csr) if request.csr is not None else None
    idempotency = (
        hashlib.sha256(idempotency_key.encode()).digest() if idempotency_key is not None else None
    )
    found = look_up(origin, claims, request, idempotency)
    try:
        return _redeemed(tools, origin, claims, found, request, csr, idempotency)
    except DomainError as error:
        if error.status < 500:  # noqa: PLR2004 - ours are no refusals
            record_refusal(tools, origin, found.token, request, error)
        raise


def _redeemed(
    tools: EnrollTools,
    origin: Origin,
    claims: OpaqueClaims,
    found: Found,
    request: ExchangeRequest,
    csr: CsrFacts | None,
    idempotency: bytes | None,
) -> Enrolled:
    found.check_open()
    refused = admission.refusal(
        found.token,
        hostname=request.hostname,
        source_address=origin.source_address,
        now=origin.now,
    )
    receipt = found.receipt
    if receipt is None and isinstance(refused, Gone):
        receipt = _twins_receipt(tools, origin, claims, idempotency)
    if receipt is not None:
        return _replayed(tools, origin, found, receipt, request)
    if refused is not None:
        raise refused
    return _enrol(tools, origin, claims, found, request, csr, idempotency)


def _twins_receipt(
    tools: EnrollTools, origin: Origin, claims: OpaqueClaims, idempotency: bytes | None
) -> EnrollmentTokenItem | None:
    """The receipt of a use that the same host made at this very moment, if there is one.

    While the twin's transaction is being applied, the use may show and the receipt not be there
    yet. Before the holder is told that the token is spent, the receipt is read as a transaction,
    which waits for the one that holds it.
    """
    if idempotency is None:
        return None
    keys = [receipt_row(origin.organization, claims.id, idempotency)]
    for _ in tools.patience.rounds():
        rows = read_as_one(keys)
        if rows is not None:
            return rows[0] if isinstance(rows[0], EnrollmentTokenItem) else None
    raise AssertionError("unreachable: patience raises")


def _replayed(
    tools: EnrollTools,
    origin: Origin,
    found: Found,
    receipt: EnrollmentTokenItem,
    request: ExchangeRequest,
) -> Enrolled:
    return replay(tools, origin, Replayable(found.token, receipt, found.interval), request)


def _enrol(
    tools: EnrollTools,
    origin: Origin,
    claims: OpaqueClaims,
    found: Found,
    request: ExchangeRequest,
    csr: CsrFacts | None,
    idempotency: bytes | None,
) -> Enrolled:
    check_limits(found.token, request)
    names = attempt_names(request)
    name = next(names)
    candidate = Candidate.create(tools.keyring, origin, found.token, found.fingerprint_key, request)
    counters = Counters(origin.organization, found.token, found.counters, tools.patience.random)
    place = replacement.place_of(origin, found.token, candidate.machine_fingerprint)
    for _ in tools.patience.rounds():
        cancelled = candidate.transaction(
            origin,
            counters.pick(),
            place,
            token_digest=claims.digest,
            name=name,
            csr=csr,
            idempotency=idempotency,
        ).write()
        if cancelled is None or _wrote_it_before(cancelled, candidate):
            return _enrolled(origin, found, candidate, name, csr)
        if cancelled.contended or counters.go_on_after(cancelled):
            continue
        if cancelled.refused.keys() & {"receipt", "token"}:
            # The same host may have asked twice at once, and the other request won: it gets its
            # agent. A receipt that is locked still is a matter of waiting, not of "spent".
            receipt = _twins_receipt(tools, origin, claims, idempotency)
            if receipt is not None:
                return _replayed(tools, origin, found, receipt, request)
        _raise_if_token_refused(cancelled, origin, request)
        if "name" in cancelled.refused:
            name = _another(names)
        place = replacement.after(place, cancelled, origin, found.token)
    raise AssertionError("unreachable: patience raises")


def _enrolled(
    origin: Origin, found: Found, candidate: Candidate, name: str, csr: CsrFacts | None
) -> Enrolled:
    return Enrolled(
        organization=origin.organization,
        identity=candidate.identity(origin, name=name, csr=csr),
        key=candidate.key,
        heartbeat_interval=found.interval,
        csr=csr,
        replayed=False,
    )


def _another(names: Iterator[str]) -> str:
    name = next(names, None)
    if name is None:
        raise Conflict("Another agent of this environment has this name.", code="name_taken")
    return name


def _wrote_it_before(cancelled: Cancelled, candidate: Candidate) -> bool:
    # A repetition by the SDK after a lost answer: the identity that stands in the way has our
    # random identifier, so it is ours, and so is the use.
    row = AgentIdentityItem.from_item(cancelled.item("identity"))
    return row is not None and row.agent_id == candidate.agent


def _raise_if_token_refused(cancelled: Cancelled, origin: Origin, request: ExchangeRequest) -> None:
    if "token" not in cancelled.refused:
        return
    row = EnrollmentTokenItem.from_item(cancelled.item("token"))
    if row is None:
        raise admission.not_the_holder()
    reason = admission.refusal(
        row, hostname=request.hostname, source_address=origin.source_address, now=origin.now
    )
    raise reason or admission.not_the_holder()
