"""Personal API tokens: what a person's scripts show in place of a session."""

from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import msgspec

from chalicelib import ids
from chalicelib.credentials import organization_key, person
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.login_events import PersonalTokenCreated, PersonalTokenRevoked
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName
from chalicelib.flows.contention import Patience
from chalicelib.flows.my_sessions import ended, find_person, identifier
from chalicelib.store import audit_records, organizations, people
from chalicelib.store.people import PersonItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

MOST_LIVE = 50
LONGEST_TTL = 365 * 86_400


class MintPersonalTokenRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A personal API token to be: what it is for, what it may, and for how long (seconds)."""

    name: DisplayName
    scopes: Annotated[
        list[str], msgspec.Meta(min_length=1, max_length=len(organization_key.SCOPES))
    ]
    ttl_seconds: Annotated[int, msgspec.Meta(ge=60, le=LONGEST_TTL)]


@dataclass(frozen=True, slots=True)
class MintedPersonalToken:
    """The token's row, and the raw secret that is shown this once."""

    row: PersonItem
    secret: str = field(repr=False)


def status_of(row: PersonItem, now: int) -> str:
    """`active`, `expired` or `revoked`."""
    if row.status != people.ACTIVE:
        return people.REVOKED
    return people.ACTIVE if int(row.expires_at or 0) > now else "expired"


def mint(
    patience: Patience, origin: Origin, request: MintPersonalTokenRequest
) -> MintedPersonalToken:
    """Make a token of the person, for the organization of the session in use.

    Raises:
        Malformed: a scope is none, or named twice.
        Conflict: the person has as many as there may be.
        Unauthenticated: the session ended, or the person was disabled or left the organization
            meanwhile.
        Contention: to be repeated.
    """
    scopes = _scopes(request.scopes)
    user = origin.actor_id
    secret, digest, token = person.issue_personal_token(origin.organization, user)
    expires_at = origin.now + request.ttl_seconds * 1000
    for _ in patience.rounds():
        owner, member = find_person(user), organizations.find(origin.organization, f"member#{user}")
        if member is None or owner.status != people.ACTIVE:
            raise ended()
        # Read after the person, whose row a token that is made meanwhile would move.
        _check_room(user, origin.now)
        transaction = Transaction()
        row = people.mint_personal_token(
            transaction,
            owner,
            token,
            organization=origin.organization,
            membership=member.membership,
            digest=digest,
            name=request.name,
            scopes=scopes,
            created_at=origin.now,
            expires_at=expires_at,
        )
        organizations.check_member(transaction, member)
        # What outlives a session by a year is made by none that has ended.
        people.check_session(transaction, owner, str(origin.credential), member.membership)
        detail = PersonalTokenCreated(
            user_id=user,
            personal_token_id=token,
            name=request.name,
            scopes=scopes,
            expires_at=rfc3339(expires_at),
        )
        audit_records.put(transaction, success(origin, detail, resource=("personal_token", token)))
        cancelled = transaction.write()
        # The SDK repeats a request whose answer was lost: the token that is there is then ours.
        if cancelled is None or "token" in cancelled.refused:
            return MintedPersonalToken(row, secret)
        if cancelled.refused.keys() & {"member", "session"}:
            raise ended()
    raise AssertionError("unreachable: patience raises")


def _scopes(wanted: list[str]) -> list[str]:
    named = set(wanted)
    if len(named) != len(wanted) or not named <= organization_key.SCOPES:
        raise Malformed(
            "A scope is not one of those that there are, or is named twice.",
            extra={"errors": [{"path": "scopes", "message": _known_scopes()}]},
        )
    return sorted(named)


def _known_scopes() -> str:
    return "some of " + ", ".join(sorted(organization_key.SCOPES))


def _check_room(user: str, now: int) -> None:
    live = sum(status_of(row, now) == people.ACTIVE for row in people.listed(user, "token"))
    if live >= MOST_LIVE:
        raise Conflict(
            f"A person has at most {MOST_LIVE} personal API tokens. Revoke one first.",
            code="too_many_personal_tokens",
        )


class PersonalTokenPage(msgspec.Struct, frozen=True):
    """Some tokens, and the identifier after which there may be more."""

    rows: list[PersonItem]
    after: str | None


def page(user: str, *, after: str | None, limit: int) -> PersonalTokenPage:
    """The person's tokens, in all organizations, also those that ended lately."""
    rows = list(islice(people.listed(user, "token", after), limit))
    return PersonalTokenPage(rows, identifier(rows[-1]) if len(rows) == limit else None)


def revoke(patience: Patience, origin: Origin, token: str) -> PersonItem:
    """End a token; its next request is refused. Twice changes nothing.

    Raises:
        NotFound: the person has no such token.
        Contention: to be repeated.
    """
    user = origin.actor_id
    for _ in patience.rounds():
        row = _find(user, token)
        if row.status != people.ACTIVE:
            return row
        transaction = Transaction()
        people.end(transaction, "token", row, origin.now)
        # Told to the organization that the token is bound to.
        there = msgspec.structs.replace(origin, organization=str(row.organization))
        detail = PersonalTokenRevoked(user_id=user, personal_token_id=identifier(row))
        audit_records.put(transaction, success(there, detail, resource=("personal_token", token)))
        if transaction.write() is None:
            row.status = people.REVOKED
            return row
    raise AssertionError("unreachable: patience raises")


def _find(user: str, token: str) -> PersonItem:
    row = None
    if ids.is_a(ids.PERSONAL_TOKEN, token):
        (row,) = read_all([people.personal_token_row(user, token)])
    if not isinstance(row, PersonItem):
        raise NotFound("There is no such personal API token.", code="personal_token_not_found")
    return row
