"""Organization keys: made, rotated and ended by people; a key never makes a key."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import msgspec

from chalicelib import ids
from chalicelib.credentials import organization_key
from chalicelib.credentials.opaque import digest
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.member_events import (
    OrganizationKeyCreated,
    OrganizationKeyRevoked,
    OrganizationKeyRotated,
)
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName, ShortText
from chalicelib.flows import acting
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.store import audit_records, organization_keys, organizations, parents
from chalicelib.store.organization_keys import PART
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.transaction import Cancelled, Transaction

MOST_LIVE_KEYS = 100
_SHORTEST_TTL, _LONGEST_TTL = 60, 400 * 86_400
_LONGEST_OVERLAP, _DAY = 7 * 86_400, 86_400


class CreateKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be: a name for people, what it is allowed, and for how long; null: always."""

    name: DisplayName
    scopes: Annotated[list[ShortText], msgspec.Meta(min_length=1, max_length=32)]
    ttl_seconds: Annotated[int, msgspec.Meta(ge=_SHORTEST_TTL, le=_LONGEST_TTL)] | None = None


class RotateKeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long the former secret stays good beside the new one."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_OVERLAP)] = _DAY


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key's row, and the raw secret that is shown this once.

    `ended_secret_early` tells that a secret from before was good still, and no more.
    """

    row: OrganizationItem
    secret: str = field(repr=False)
    ended_secret_early: bool = False


class KeyPage(msgspec.Struct, frozen=True):
    """Some keys, and after which the list goes on, if it does."""

    rows: list[OrganizationItem]
    next: str | None


def status_of(row: OrganizationItem, now: int) -> str:
    """`active`, `expired` or `revoked`: what whoever uses it is told."""
    if row.status != organizations.ACTIVE:
        return "revoked"
    ended = row.expires_at is not None and int(row.expires_at) <= now
    return "expired" if ended else "active"


def overlap_until(row: OrganizationItem, now: int) -> int | None:
    """Until when the secret from before a rotation is good, if it is."""
    if status_of(row, now) != "active" or row.previous_until is None:
        return None
    return int(row.previous_until) if int(row.previous_until) > now else None


def get(organization: str, key: str) -> OrganizationItem:
    """One key of the organization.

    Raises:
        NotFound: there is none.
    """
    known = ids.is_a(ids.ORGANIZATION_KEY, key)
    row = organization_keys.find(organization, key) if known else None
    if row is None:
        raise NotFound("There is no such organization key.", code="organization_key_not_found")
    return row


def page(organization: str, *, after: str | None, limit: int) -> KeyPage:
    """Keys in the order of their identifiers."""
    found = list(islice(organizations.listed(organization, "key", after), limit + 1))
    rows = found[:limit]
    return KeyPage(rows, organization_keys.identifier(rows[-1]) if len(found) > limit else None)


def create(patience: Patience, origin: Origin, request: CreateKeyRequest) -> IssuedKey:
    """Make a key.

    Raises:
        Malformed: one of the scopes is none.
        Conflict: the organization has as many as it may.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted; or the organization is being deleted.
    """
    scopes = _scopes(request.scopes)
    key = ids.new(ids.ORGANIZATION_KEY)
    secret = organization_key.FAMILY.issue(origin.organization, key)
    for _ in patience.rounds():
        turn = organization_keys.turn(origin.organization)
        _check_room(origin, key)
        transaction, row = _creation(origin, request, scopes, key, secret, turn)
        cancelled = transaction.write()
        # A key of this very identifier is our own, whose answer the SDK lost.
        if cancelled is None or PART in cancelled.refused:
            return IssuedKey(row, secret)
        acting.refuse(cancelled, origin)
        if organizations.ORGANIZATION in cancelled.refused:
            raise organization_closed()
    raise AssertionError("unreachable: patience raises")


def _check_room(origin: Origin, own: str) -> None:
    live = [
        row
        for row in organizations.listed(origin.organization, "key")
        if status_of(row, origin.now) == "active" and row.item != f"key#{own}"
    ]
    if len(live) >= MOST_LIVE_KEYS:
        raise Conflict(
            f"An organization can have {MOST_LIVE_KEYS} keys. Revoke one first.",
            code="too_many_organization_keys",
        )


def _creation(
    origin: Origin,
    request: CreateKeyRequest,
    scopes: list[str],
    key: str,
    secret: str,
    turn: int,
) -> tuple[Transaction, OrganizationItem]:
    ttl = request.ttl_seconds
    expires_at = origin.now + ttl * 1000 if ttl is not None else None
    transaction = Transaction()
    row = organization_keys.add(
        transaction,
        origin.organization,
        key,
        turn=turn,
        name=request.name,
        scopes=scopes,
        digest=digest(secret),
        expires_at=expires_at,
        created_at=origin.now,
        created_by=origin.actor_id,
    )
    parents.check_active(transaction, origin.organization)
    acting.check_admin(transaction, origin)
    audit_records.put(
        transaction,
        success(
            origin,
            OrganizationKeyCreated(
                organization_key_id=key,
                name=request.name,
                scopes=scopes,
                expires_at=rfc3339(expires_at) if expires_at is not None else None,
            ),
            resource=("organization_key", key),
        ),
    )
    return transaction, row


def _scopes(given: list[str]) -> list[str]:
    named = set(given)
    if len(named) != len(given) or not named <= organization_key.SCOPES:
        known = ", ".join(sorted(organization_key.SCOPES))
        raise Malformed(
            "A scope is not one of those that there are, or is named twice.",
            extra={"errors": [{"path": "scopes", "message": f"some of {known}"}]},
        )
    return sorted(named)


def revoke(patience: Patience, origin: Origin, key: str) -> OrganizationItem:
    """End a key: its next request is refused. Doing so twice changes nothing.

    Raises:
        NotFound: there is no such key.
    """
    for _ in patience.rounds():
        row = get(origin.organization, key)
        if row.status == organizations.REVOKED:
            return row
        transaction = Transaction()
        organization_keys.revoke(transaction, row, origin.now)
        audit_records.put(
            transaction,
            success(
                origin,
                OrganizationKeyRevoked(organization_key_id=key),
                resource=("organization_key", key),
            ),
        )
        if transaction.write() is None:
            return get(origin.organization, key)
    raise AssertionError("unreachable: patience raises")


def rotate(patience: Patience, origin: Origin, key: str, request: RotateKeyRequest) -> IssuedKey:
    """Give a key another secret; the former one stays good for the overlap, and no other.

    Raises:
        NotFound: there is no such key.
        Conflict: it has ended, or somebody else rotated it at this very moment.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    before = get(origin.organization, key)
    if status_of(before, origin.now) != "active":
        raise _ended()
    secret = organization_key.FAMILY.issue(origin.organization, key)
    until = origin.now + request.overlap_seconds * 1000 if request.overlap_seconds else None
    transaction = Transaction()
    organization_keys.rotate(transaction, before, digest=digest(secret), overlap_until=until)
    acting.check_admin(transaction, origin)
    audit_records.put(
        transaction,
        success(
            origin,
            OrganizationKeyRotated(
                organization_key_id=key,
                overlap_until=rfc3339(until) if until is not None else None,
            ),
            resource=("organization_key", key),
        ),
    )
    for _ in patience.rounds():
        cancelled = transaction.write()
        if cancelled is None or _has_secret(cancelled, secret):
            row = get(origin.organization, key)
            return IssuedKey(row, secret, overlap_until(before, origin.now) is not None)
        acting.refuse(cancelled, origin)
        if PART in cancelled.refused:
            raise _moved(cancelled)
    raise AssertionError("unreachable: patience raises")


def _has_secret(cancelled: Cancelled, secret: str) -> bool:
    # The SDK repeated a request whose answer was lost: the new secret is there already.
    row = OrganizationItem.from_item(cancelled.item(PART))
    return row is not None and row.digest == digest(secret)


def _moved(cancelled: Cancelled) -> Conflict:
    row = OrganizationItem.from_item(cancelled.item(PART))
    if row is None or row.status != organizations.ACTIVE:
        return _ended()
    # To rotate once more without a word would end the secret that is in use everywhere.
    return Conflict(
        "The key was rotated at this very moment, and nothing was changed by this request.",
        code="organization_key_moved",
    )


def _ended() -> Conflict:
    return Conflict("The organization key has ended.", code="organization_key_ended")
