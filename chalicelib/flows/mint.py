"""Minting enrollment tokens."""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from chalicelib import ids, names
from chalicelib.credentials import enrollment_token
from chalicelib.credentials.opaque import digest
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import EnrollmentTokenIssued
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import Cidr, EnvironmentId, Hostname, Labels, Note
from chalicelib.flows.contention import Patience
from chalicelib.store import audit_records, enrollment_tokens, organizations, token_counters
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.table import Table
from chalicelib.store.transaction import Cancelled, Transaction

LONGEST_TTL = 30 * 86_400
# A host that lives may be silent for an outage and 300 s of back-off, or for a Retry-After.
LEAST_OFFLINE, USUAL_OFFLINE, MOST_OFFLINE = 1_800, 7_200, 30 * 86_400
MOST_USES = 10_000
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


class MintRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to be: for which environment, for how long (seconds), for how many hosts.

    With `replace_machine` a host that was made anew takes the place of its former identity, once
    that has been silent for `replace_offline_seconds`.
    """

    environment: EnvironmentId
    ttl_seconds: Annotated[int, msgspec.Meta(ge=60, le=LONGEST_TTL)] = 3600
    max_uses: Annotated[int, msgspec.Meta(ge=1, le=MOST_USES)] = 1
    hostname: Hostname | None = None
    source_cidrs: Annotated[list[Cidr], msgspec.Meta(max_length=20)] = []
    labels: Labels = {}
    note: Note | None = None
    replace_machine: bool = False
    replace_offline_seconds: Annotated[int, msgspec.Meta(ge=LEAST_OFFLINE, le=MOST_OFFLINE)] = (
        USUAL_OFFLINE
    )

    @property
    def replace_offline(self) -> int | None:
        """The silence that is asked of a former identity; None where none is replaced."""
        return self.replace_offline_seconds if self.replace_machine else None


@dataclass(frozen=True, slots=True)
class Minted:
    """A token's row, and the raw secret that is shown this once."""

    token: EnrollmentTokenItem
    secret: str = field(repr=False)


class _Draft(msgspec.Struct, frozen=True):
    """A token that is not there yet; of its secret the digest."""

    origin: Origin
    request: MintRequest
    networks: list[str]
    project: str
    token: str
    digest: bytes

    @property
    def expires_at(self) -> int:
        """When it ends."""
        return self.origin.now + self.request.ttl_seconds * 1000


def mint(
    patience: Patience,
    origin: Origin,
    environment: Table | None,
    request: MintRequest,
    idempotency_key: str | None,
) -> Minted:
    """Create a token.

    Args:
        patience: how contention is waited out.
        origin: who mints.
        environment: the row of the environment that the request names, as the authorization
            read it; the transaction is conditional on it being active still.
        request: the token to be.
        idempotency_key: a secret that makes a repeated mint visible.

    Raises:
        Malformed: a source network is none.
        NotFound: the environment is not one of this organization's.
        Conflict: this idempotency key has minted already; a secret cannot be shown twice.
    """
    networks = _networks(request.source_cidrs)
    if not isinstance(environment, OrganizationItem) or environment.status != organizations.ACTIVE:
        raise _no_environment()
    token = ids.new(ids.ENROLLMENT_TOKEN)
    secret = enrollment_token.FAMILY.issue(origin.organization, token)
    draft = _Draft(origin, request, networks, str(environment.project), token, digest(secret))
    for _ in patience.rounds():
        transaction, row = _transaction(draft, idempotency_key)
        cancelled = transaction.write()
        if cancelled is None or _wrote_it_before(cancelled, token):
            token_counters.sum_up(row, [])
            return Minted(row, secret)
        if "environment" in cancelled.refused:
            raise _no_environment()
        if not cancelled.contended:
            raise _minted_before(cancelled)
    raise AssertionError("unreachable: patience raises")


def _transaction(
    draft: _Draft, idempotency_key: str | None
) -> tuple[Transaction, EnrollmentTokenItem]:
    transaction, origin, request = Transaction(), draft.origin, draft.request
    row = _add_token(transaction, draft)
    token_counters.mint(transaction, origin.organization, row)
    if idempotency_key is not None:
        enrollment_tokens.claim_mint(
            transaction,
            origin.organization,
            hashlib.sha256(idempotency_key.encode()).digest(),
            token=draft.token,
            created_at=origin.now,
            expires_at=draft.expires_at,
        )
    organizations.check_active(
        transaction,
        "environment",
        organizations.environment_row(origin.organization, request.environment),
    )
    audit_records.put(transaction, _evidence(draft))
    return transaction, row


def _add_token(transaction: Transaction, draft: _Draft) -> EnrollmentTokenItem:
    origin, request = draft.origin, draft.request
    return enrollment_tokens.mint(
        transaction,
        origin.organization,
        draft.token,
        environment=request.environment,
        created_at=origin.now,
        expires_at=draft.expires_at,
        digest=draft.digest,
        project=draft.project,
        max_uses=request.max_uses,
        counters=token_counters.rows_for(request.max_uses) or None,
        hostname=names.same_host(request.hostname) if request.hostname else None,
        source_cidrs=draft.networks,
        labels=request.labels,
        note=request.note,
        replace_machine=request.replace_machine or None,
        replace_offline=request.replace_offline,
        created_by=origin.actor_id,
    )


def _no_environment() -> NotFound:
    return NotFound("There is no such environment.", code="environment_not_found")


def _evidence(draft: _Draft) -> Evidence:
    request = draft.request
    return success(
        draft.origin,
        EnrollmentTokenIssued(
            token_id=draft.token,
            max_uses=request.max_uses,
            expires_at=rfc3339(draft.expires_at),
            hostname=request.hostname,
            source_cidrs=draft.networks,
            labels=request.labels,
            replace_machine=request.replace_machine,
            replace_offline_seconds=request.replace_offline,
        ),
        resource=("enrollment_token", draft.token),
        project=draft.project,
        environment=request.environment,
    )


_NETWORK = (
    "must be networks in CIDR notation as in 192.0.2.0/24, with no bits set behind the prefix,"
    " those of IPv4 written as such"
)


def _networks(cidrs: list[str]) -> list[str]:
    try:
        return [str(_network(cidr)) for cidr in cidrs]
    except ValueError as error:
        raise Malformed(
            "A source network is not valid.",
            extra={"errors": [{"path": "source_cidrs", "message": _NETWORK}]},
        ) from error


def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    network = ipaddress.ip_network(cidr)
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        # An address is compared in its own family, so such a network would admit nobody.
        raise ValueError(f"{cidr}: write an IPv4 network as one")
    return network


def _wrote_it_before(cancelled: Cancelled, token: str) -> bool:
    # The SDK repeated a request whose answer was lost: the row that stands in the way is ours.
    row = EnrollmentTokenItem.from_item(cancelled.item("token"))
    return row is not None and row.token == token


def _minted_before(cancelled: Cancelled) -> Conflict:
    row = EnrollmentTokenItem.from_item(cancelled.item("claim"))
    return Conflict(
        "This Idempotency-Key has minted a token already, and a secret is shown only once. "
        "Revoke that token and mint again with a new key if the answer was lost.",
        code="already_minted",
        extra={"enrollment_token_id": row.token if row else None},
    )
