"""A person's own sessions: looking at them, ending them, going to another organization."""

import msgspec

from chalicelib import ids
from chalicelib.errors import NotFound, Unauthenticated
from chalicelib.evidence.login_events import SessionRevoked, UserLoggedOut
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import OrganizationId
from chalicelib.flows import my_organizations, sessions
from chalicelib.flows.contention import Patience
from chalicelib.flows.my_organizations import Belonging
from chalicelib.flows.sessions import Opened, Visit
from chalicelib.store import audit_records, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

_MOST_SEEN = 1_000


class SwitchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which organization the person goes."""

    organization: OrganizationId


class RevokeSessionsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the session that asks goes on."""

    keep_current: bool = False


class SessionPage(msgspec.Struct, frozen=True):
    """Some sessions, and the identifier after which there may be more."""

    rows: list[PersonItem]
    after: str | None


def page(user: str, *, after: str | None, limit: int, now: int) -> SessionPage:
    """The person's sessions that have not ended, in all organizations."""
    person = people.find_user(user)
    valid_from = int(person.valid_from or 0) if person is not None else now
    rows: list[PersonItem] = []
    for seen, row in enumerate(people.listed(user, "session", after), start=1):
        if _is_live(row, valid_from, now):
            rows.append(row)
        if len(rows) == limit or seen == _MOST_SEEN:
            return SessionPage(rows, identifier(row))
    return SessionPage(rows, None)


def identifier(row: PersonItem) -> str:
    """The identifier of a session or personal API token."""
    return row.item.partition("#")[2]


def _is_live(row: PersonItem, valid_from: int, now: int) -> bool:
    return (
        row.status == people.ACTIVE
        and int(row.expires_at or 0) > now
        and people.began(row) >= valid_from
    )


def revoke(patience: Patience, origin: Origin, session: str) -> PersonItem:
    """End one of the person's sessions; its next request is refused. Twice changes nothing.

    Raises:
        NotFound: the person has no such session.
        Contention: to be repeated.
    """
    user = origin.actor_id
    detail = SessionRevoked(user_id=user, session_id=session)
    for _ in patience.rounds():
        row = _find(user, session)
        if row.status != people.ACTIVE or _end(origin, row, detail):
            row.status = people.REVOKED
            return row
    raise AssertionError("unreachable: patience raises")


def log_out(patience: Patience, origin: Origin) -> None:
    """End the session that asks.

    Raises:
        Contention: to be repeated.
    """
    session = str(origin.credential)
    detail = UserLoggedOut(user_id=origin.actor_id, session_id=session)
    for _ in patience.rounds():
        row = _find(origin.actor_id, session)
        if row.status != people.ACTIVE or _end(origin, row, detail):
            return
    raise AssertionError("unreachable: patience raises")


def _find(user: str, session: str) -> PersonItem:
    row = None
    if ids.is_a(ids.SESSION, session):
        (row,) = read_all([people.session_row(user, session)])
    if not isinstance(row, PersonItem):
        raise NotFound("There is no such session.", code="session_not_found")
    return row


def _end(origin: Origin, row: PersonItem, detail: SessionRevoked | UserLoggedOut) -> bool:
    transaction = Transaction()
    people.end(transaction, "ended", row, origin.now)
    audit_records.put(transaction, _evidence(origin, row, detail))
    return transaction.write() is None


def _evidence(origin: Origin, row: PersonItem, detail: SessionRevoked | UserLoggedOut) -> Evidence:
    """Told to the organization that the session is bound to, which may not be the one in use."""
    there = msgspec.structs.replace(origin, organization=str(row.organization))
    return success(there, detail, resource=("session", identifier(row)))


def log_out_everywhere(patience: Patience, origin: Origin, *, keep_current: bool) -> None:
    """End all sessions of the person, also those that are being opened at this moment.

    Raises:
        Unauthenticated: the session that asks, and should go on, ended meanwhile.
        Contention: to be repeated.
    """
    user, session = origin.actor_id, str(origin.credential)
    for _ in patience.rounds():
        person = find_person(user)
        valid_from = people.next_valid_from(person, origin.now)
        transaction = Transaction()
        people.end_all_sessions(transaction, person, valid_from)
        if keep_current:
            people.spare(transaction, person, session, valid_from)
        detail = UserLoggedOut(
            user_id=user,
            session_id=session,
            everywhere=True,
            kept_session_id=session if keep_current else None,
        )
        audit_records.put(transaction, success(origin, detail, resource=("user", user)))
        cancelled = transaction.write()
        if cancelled is None:
            return
        if "session" in cancelled.refused:
            raise ended()
        stands = PersonItem.from_item(cancelled.item("user"))
        ours = stands is not None and int(stands.valid_from or 0) == valid_from
        # By a request whose answer was lost; or another session's, at the same instant.
        if ours and (not keep_current or people.began(_find(user, session)) == valid_from):
            return
    raise AssertionError("unreachable: patience raises")


def switch(
    patience: Patience, origin: Origin, visit: Visit, organization: str
) -> tuple[Opened, Belonging]:
    """Open a session for another organization, and end the one that asks, or neither.

    The new one ends when the old one would have: who never logs in again stays for 24 hours.

    Raises:
        NotFound: the person does not belong to that organization.
        Unauthenticated: the session that asks ended meanwhile.
        Contention: to be repeated.
    """
    user = origin.actor_id
    for _ in patience.rounds():
        there = my_organizations.read(user, [organization])
        if not there:
            raise _no_organization()
        person, old = find_person(user), _find(user, str(origin.credential))
        if old.status != people.ACTIVE:
            raise ended()
        transaction, opened = _switch(origin, visit, there[0].member, person, old)
        cancelled = transaction.write()
        # The SDK repeats a request whose answer was lost: what stands in the way is then ours.
        if cancelled is None or "session" in cancelled.refused:
            return opened, there[0]
        if cancelled.refused.keys() & {"ended", "user"}:
            raise ended()
        if "member" in cancelled.refused:
            raise _no_organization()
    raise AssertionError("unreachable: patience raises")


def _switch(
    origin: Origin, visit: Visit, member: OrganizationItem, person: PersonItem, old: PersonItem
) -> tuple[Transaction, Opened]:
    transaction = Transaction()
    opened = sessions.begin(
        transaction,
        visit,
        user=person.pk,
        organization=member.organization,
        membership=member.membership,
        method="switch",
        valid_from=person.valid_from,
        expires_at=int(old.expires_at or 0),
    )
    people.end(transaction, "ended", old, origin.now)
    people.check_unmoved(transaction, person)
    organizations.check_member(transaction, member)
    detail = UserLoggedOut(user_id=person.pk, session_id=identifier(old))
    audit_records.put(transaction, _evidence(origin, old, detail))
    return transaction, opened


def find_person(user: str) -> PersonItem:
    """The row of the person who asks.

    Raises:
        Unauthenticated: it has gone since the credential was looked at.
    """
    person = people.find_user(user)
    if person is None:
        raise ended()
    return person


def ended() -> Unauthenticated:
    """The answer to a credential that ended while it was in use."""
    return Unauthenticated("The credential was revoked.", code="credential_revoked")


def _no_organization() -> NotFound:
    return NotFound("There is no such organization.", code="organization_not_found")
