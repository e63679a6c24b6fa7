"""Logging in with username and password.

Who is not let in is told the same, after the same requests and one verification of a password,
whatever it was: no such name, a wrong password, a disabled person, one who belongs nowhere.
"""

import hashlib

import msgspec

from chalicelib import ids
from chalicelib.credentials.password import Passwords
from chalicelib.errors import NotFound, Unavailable
from chalicelib.evidence.login_events import UserLoginFailed
from chalicelib.evidence.record import Evidence, Origin, refusal
from chalicelib.fields import OrganizationId, Password, Username
from chalicelib.flows import login_guard, my_organizations, sessions
from chalicelib.flows.contention import Patience
from chalicelib.flows.my_organizations import Belonging
from chalicelib.flows.sessions import Opened, Visit
from chalicelib.store import audit_records, login_attempts, people
from chalicelib.store.people import PersonItem
from chalicelib.telemetry import count, logger

_MINUTE_MS = 60_000


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who, and for which organization: by default the one that made the account.

    `cookie` is false for a client that is no browser, and wants the session itself.
    """

    username: Username
    password: Password
    organization: OrganizationId | None = None
    cookie: bool = True

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"LoginRequest(username={self.username!r})"


class LoggedIn(msgspec.Struct, frozen=True):
    """The session, what the person is in its organization, and where else they may go."""

    opened: Opened
    here: Belonging
    everywhere: list[Belonging]


class _Found(msgspec.Struct, frozen=True):
    """Whom a name names, and where they belong."""

    name: str
    user: PersonItem | None
    belongings: list[Belonging]


def log_in(
    patience: Patience, passwords: Passwords, visit: Visit, request: LoginRequest
) -> LoggedIn:
    """Open a session for whoever knows the password.

    Raises:
        Unauthenticated: not let in.
        TooMany: too often, for the name, the source or the stage; no password was looked at.
        NotFound: let in, but not to the organization that the request names.
        Contention: to be repeated.
    """
    username = request.username.lower()
    reservation = login_guard.reserve(patience, username, visit.source_address, visit.now)
    found = _find(username)
    user = found.user
    matches = passwords.verify(user.password_hash if user is not None else None, request.password)
    reason = _why_not(found, matches)
    if user is None or reason is not None:
        _failed(visit, found, reason or "unknown_name")
        raise sessions.moved()
    reservation.succeeded(visit.now)
    here = _chosen(found, request.organization)
    if passwords.is_outdated(str(user.password_hash)):
        _rehash(passwords, user, request.password)
    opened = sessions.open_session(patience, visit, user, here.member, method="password")
    return LoggedIn(opened, here, found.belongings)


def _find(username: str) -> _Found:
    name = hashlib.sha256(username.encode()).digest()
    row = people.find_username(username)
    # Nobody is looked for as thoroughly as somebody.
    user = row.user if row is not None and row.user else ids.derived(ids.USER, name)
    person = people.find_user(user)
    home = str(person.home) if person is not None else ids.derived(ids.ORGANIZATION, name)
    return _Found(name.hex(), person, my_organizations.of_person(user, home))


def _why_not(found: _Found, matches: bool) -> str | None:
    user = found.user
    if user is None:
        return "unknown_name"
    if not matches:
        return "wrong_password" if user.password_hash is not None else "no_password"
    if user.status != people.ACTIVE:
        return "user_disabled"
    return None if found.belongings else "no_membership"


def _chosen(found: _Found, wanted: str | None) -> Belonging:
    home = found.user.home if found.user is not None else None
    by_name = {one.organization.organization: one for one in found.belongings}
    if wanted is not None and wanted not in by_name:
        raise NotFound("There is no such organization.", code="organization_not_found")
    return by_name.get(wanted or str(home)) or found.belongings[0]


def _rehash(passwords: Passwords, user: PersonItem, password: str) -> None:
    renewed = passwords.hash(password)
    if not people.rehash(user, renewed):
        raise sessions.moved()
    user.password_hash = renewed


def _failed(visit: Visit, found: _Found, reason: str) -> None:
    """Tell the organization that made the account; of a name that is nobody's there is a metric.

    An outage changes nothing for the caller: a refusal has no effect that could be without
    evidence, and 503 for some names only would tell whose they are.
    """
    count("LoginFailed", reason=reason)
    try:
        if found.user is None:
            login_attempts.note_nobody(found.name, visit.now)
        else:
            audit_records.put_once(_evidence(visit, found.user, reason))
    except Unavailable as error:
        count("LoginFailureNotRecorded")
        logger.error("failed login not recorded", request_id=visit.request_id, cause=error.cause)


def _evidence(visit: Visit, user: PersonItem, reason: str) -> Evidence:
    """One record at most for each person, source, reason and minute."""
    home, source = str(user.home), login_guard.source_of(visit.source_address)
    # Whoever failed is not known to be the person: nobody acts here but the login itself.
    origin = Origin(
        home, "system", "login", visit.request_id, visit.source_address, visit.now, None
    )
    evidence = refusal(
        origin, UserLoginFailed(user_id=user.pk, reason=reason), reason, resource=("user", user.pk)
    )
    minute = str(visit.now - visit.now % _MINUTE_MS)
    seed = f"{home}\n{user.pk}\n{reason}\n{source}\n{minute}"
    digest = hashlib.sha256(seed.encode()).digest()
    return msgspec.structs.replace(evidence, id=ids.derived(ids.AUDIT_RECORD, digest))
