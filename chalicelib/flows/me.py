"""What a person changes about themselves: how they are called, and the password."""

from typing import Annotated

import msgspec

from chalicelib.credentials.password import Passwords, check_new
from chalicelib.errors import Conflict, Forbidden, Malformed
from chalicelib.evidence.login_events import UserPasswordChanged, UserUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName, Password
from chalicelib.flows import login_guard
from chalicelib.flows.contention import Patience
from chalicelib.flows.my_sessions import ended, find_person
from chalicelib.store import audit_records, people
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Transaction


class UpdateMeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the person is called; null for by the username."""

    display_name: DisplayName | msgspec.UnsetType | None = msgspec.UNSET


class ChangePasswordRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The password as it is, and as it shall be."""

    current_password: Password
    new_password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]

    def __repr__(self) -> str:
        """Without the secrets."""
        return "ChangePasswordRequest()"


def update(patience: Patience, origin: Origin, request: UpdateMeRequest) -> PersonItem:
    """Change the display name.

    Raises:
        Malformed: nothing is to be changed.
        Unauthenticated: the person was disabled meanwhile.
        Contention: to be repeated.
    """
    wanted = request.display_name
    if isinstance(wanted, msgspec.UnsetType):
        raise Malformed("There is nothing to change.", code="nothing_to_change")
    for _ in patience.rounds():
        person = _active(origin.actor_id)
        # Also where our own request was repeated because its answer was lost.
        if person.display_name == wanted:
            return person
        transaction = Transaction()
        people.rename(transaction, person, wanted)
        detail = UserUpdated(
            user_id=person.pk, display_name=wanted, previous_display_name=person.display_name
        )
        audit_records.put(transaction, success(origin, detail, resource=("user", person.pk)))
        if transaction.write() is None:
            person.display_name = wanted
            return person
    raise AssertionError("unreachable: patience raises")


def change_password(
    patience: Patience, passwords: Passwords, origin: Origin, request: ChangePasswordRequest
) -> None:
    """Change the password; every other session ends with the old one.

    Whoever holds a session may guess here no more often than at the login.

    Raises:
        Malformed: the new one cannot be used.
        Conflict: the person has none, and logs in elsewhere.
        Forbidden: the current one is another.
        TooMany: too often.
        Unauthenticated: the session ended meanwhile.
        Contention: to be repeated.
    """
    check_new(request.new_password, "new_password")
    person = _active(origin.actor_id)
    kept = person.password_hash
    if kept is None:
        raise Conflict(
            "This account has no password: an identity provider logs it in.", code="no_password"
        )
    username = str(person.username)
    reservation = login_guard.reserve(patience, username, origin.source_address, origin.now, cost=2)
    if not passwords.verify(kept, request.current_password):
        raise Forbidden("The current password is another.", code="password_wrong")
    reservation.succeeded(origin.now)
    _write(patience, origin, person, passwords.hash(request.new_password))


def _write(patience: Patience, origin: Origin, person: PersonItem, password_hash: str) -> None:
    session = str(origin.credential)
    for _ in patience.rounds():
        valid_from = people.next_valid_from(person, origin.now)
        transaction = Transaction()
        people.end_all_sessions(transaction, person, valid_from, password_hash=password_hash)
        people.spare(transaction, person, session, valid_from)
        detail = UserPasswordChanged(user_id=person.pk, kept_session_id=session)
        audit_records.put(transaction, success(origin, detail, resource=("user", person.pk)))
        cancelled = transaction.write()
        if cancelled is None:
            return
        stands = PersonItem.from_item(cancelled.item("user"))
        if stands is not None and stands.password_hash == password_hash:
            # No salt is used twice: this is ours, by a request whose answer was lost.
            return
        if cancelled.refused:
            # Another password, or logged out everywhere: what was verified is not so any more.
            raise ended()
    raise AssertionError("unreachable: patience raises")


def _active(user: str) -> PersonItem:
    person = find_person(user)
    if person.status != people.ACTIVE:
        raise ended()
    return person
