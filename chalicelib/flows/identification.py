"""Whom an operator's credential names, and what it is worth: one strongly consistent request.

All keys come from the credential and from the path, never from an index; nothing is cached, so
that whatever was revoked is refused on the next request (law 3).
"""

import hmac
from typing import Any, Literal

import msgspec

from chalicelib.credentials import person
from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.errors import Unauthenticated
from chalicelib.flows.authorization import Authority
from chalicelib.flows.targets import Target, row_of
from chalicelib.permissions import role_of
from chalicelib.store import last_used, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import Key, Table, read_all

Family = Literal["session", "personal_token", "organization_key"]
LAST_USED_EVERY_MS = 3_600_000


class Identified(msgspec.Struct, frozen=True):
    """Who calls, and the row that the request names, if there is one."""

    authority: Authority
    row: Table | None
    used_at: float | None


class CredentialEnded(Unauthenticated):
    """The caller holds a real secret, and its time is over: the one who knows it is told why."""

    def __init__(self, code: str, actor: tuple[str, str, str | None]) -> None:
        super().__init__(_ENDED[code], code=code)
        self.actor = actor


_ENDED = {
    "credential_revoked": "The credential was revoked.",
    "credential_expired": "The credential has expired.",
    "user_disabled": "The account is disabled.",
    "membership_ended": "The account does not belong to this organization any more.",
}


def identify(family: Family, claims: OpaqueClaims, target: Target | None, now: int) -> Identified:
    """Read the credential's rows and the target's, and tell what the credential is worth.

    Raises:
        Unauthenticated: there is no such credential.
        CredentialEnded: there was.
        Unavailable: the database did not answer.
    """
    keys = _keys(family, claims)
    count = len(keys)
    if target is not None and (key := row_of(claims.organization, target)) is not None:
        keys.append(key)
    rows = read_all(keys)
    organization = rows[0]
    if not isinstance(organization, OrganizationItem):
        raise _invalid()
    read = _key_authority if family == "organization_key" else _person_authority
    authority, used_at = read(family, claims, organization, rows[1:count], now)
    return Identified(authority, rows[count] if len(rows) > count else None, used_at)


def _keys(family: Family, claims: OpaqueClaims) -> list[Key]:
    organization = organizations.organization_row(claims.organization)
    if family == "organization_key":
        return [organization, organizations.key_row(claims.organization, claims.id)]
    own = (
        people.session_row(claims.id, person.session_id(claims))
        if family == "session"
        else people.personal_token_row(claims.id, person.personal_token_id(claims))
    )
    member = organizations.member_row(claims.organization, claims.id)
    return [organization, own, people.user_row(claims.id), member]


def _key_authority(
    family: Family, claims: OpaqueClaims, organization: OrganizationItem, rows: list[Any], now: int
) -> tuple[Authority, float | None]:
    del family
    (row,) = rows
    if row is None or not _is_digest_of(row, claims.digest, now):
        raise _invalid()
    actor = ("organization_key", claims.id, None)
    if row.status != organizations.ACTIVE:
        raise CredentialEnded("credential_revoked", actor)
    if row.expires_at is not None and int(row.expires_at) <= now:
        raise CredentialEnded("credential_expired", actor)
    authority = Authority(
        actor_type=actor[0],
        actor_id=actor[1],
        credential=None,
        organization=organization,
        role=None,
        project_roles={},
        scopes=frozenset(row.scopes or ()),
        is_person=False,
    )
    return authority, row.last_used_at


def _is_digest_of(row: OrganizationItem, digest: bytes, now: int) -> bool:
    if hmac.compare_digest(bytes(row.digest or b""), digest):
        return True
    # The secret from before a rotation, for as long as the two overlap.
    overlaps = row.previous_until is not None and int(row.previous_until) > now
    return hmac.compare_digest(bytes(row.previous_digest or b""), digest) and overlaps


def _person_authority(
    family: Family, claims: OpaqueClaims, organization: OrganizationItem, rows: list[Any], now: int
) -> tuple[Authority, float | None]:
    own, user, member = rows
    if own is None or not hmac.compare_digest(bytes(own.digest or b""), claims.digest):
        raise _invalid()
    credential = own.item.partition("#")[2]
    ended = _why_ended(own, user, member, claims.organization, now)
    if ended is not None:
        raise CredentialEnded(ended, ("user", claims.id, credential))
    authority = Authority(
        actor_type="user",
        actor_id=claims.id,
        credential=credential,
        organization=organization,
        role=role_of(member.role),
        project_roles={name: role_of(role) for name, role in (member.projects or {}).items()},
        scopes=None if family == "session" else frozenset(own.scopes or ()),
        is_person=True,
    )
    return authority, own.last_used_at


def _why_ended(
    own: PersonItem,
    user: PersonItem | None,
    member: OrganizationItem | None,
    organization: str,
    now: int,
) -> str | None:
    """Why a real session or personal token is worth nothing, or None."""
    if own.status != people.ACTIVE or own.organization != organization:
        return "credential_revoked"
    if own.expires_at is None or int(own.expires_at) <= now:
        return "credential_expired"
    if user is None or user.status != people.ACTIVE:
        return "user_disabled"
    if member is None or member.status != organizations.ACTIVE:
        return "membership_ended"
    return "credential_revoked" if _is_of_before(own, user, member) else None


def _is_of_before(own: PersonItem, user: PersonItem, member: OrganizationItem) -> bool:
    """Whether a credential is from before its person logged out everywhere, or last joined.

    Who comes back to an organization comes back without what was theirs before.
    """
    if own.item.startswith("session#") and people.began(own) < int(user.valid_from or 0):
        return True
    if own.membership is not None:
        # By name and not by time: one may leave and come back within a clock's tick.
        return bool(own.membership != member.membership)
    return int(own.created_at or 0) < int(member.created_at)


def _invalid() -> Unauthenticated:
    return Unauthenticated("The credential was not accepted.", code="credential_invalid")


def note_use(family: Family, claims: OpaqueClaims, used_at: float | None, now: int) -> None:
    """Remember that a credential was used, at most once an hour, whoever else does the same.

    Raises:
        Unavailable: the database did not answer.
    """
    before = now - LAST_USED_EVERY_MS
    if used_at is None or used_at < before:
        last_used.note(_keys(family, claims)[1], now=now, unless_since=before)
