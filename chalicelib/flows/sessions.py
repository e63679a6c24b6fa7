"""Opening sessions: whichever way a person came in, this is what they get."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from chalicelib.credentials import person
from chalicelib.errors import Unauthenticated
from chalicelib.evidence.login_events import UserLoggedIn
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.contention import Patience
from chalicelib.store import audit_records, organizations, people
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Transaction

Method = Literal["password", "oidc", "invitation", "switch"]
LONGEST_USER_AGENT = 256


class Visit(msgspec.Struct, frozen=True):
    """Where somebody stands who is about to be known: of a request without a credential."""

    request_id: str
    source_address: str | None
    user_agent: str | None
    now: int

    def origin(self, organization: str, user: str, credential: str | None = None) -> Origin:
        """The same request in a person's name."""
        return Origin(
            organization=organization,
            actor_type="user",
            actor_id=user,
            request_id=self.request_id,
            source_address=self.source_address,
            now=self.now,
            credential=credential,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A session. The secret is shown this once, or set as a cookie."""

    id: str
    user: str
    organization: str
    expires_at: int
    secret: str = field(repr=False)


def begin(
    transaction: Transaction,
    visit: Visit,
    *,
    user: str,
    organization: str,
    membership: str | None,
    method: Method,
    valid_from: float | None = None,
    expires_at: int | None = None,
) -> Opened:
    """Add a session and its evidence to a transaction (parts `session` and `session_audit`).

    The transaction is the caller's, who sees to it that the person and the membership are active
    when it is written: by conditions, or by making them in it.

    Args:
        transaction: to which the session is added.
        visit: from where.
        user: whose session it is.
        organization: to which it is bound.
        membership: under which it is opened, and with which it ends.
        method: how the person proved who they are.
        valid_from: that of the person's row, which the transaction must find unchanged.
        expires_at: earlier than a whole session's life, where it goes on for another.
    """
    # A worker whose clock is behind must not open what counts as ended already.
    as_of = max(visit.now, int(valid_from or 0))
    secret, digest, session = person.issue_session(organization, user)
    opened = Opened(
        session, user, organization, expires_at or visit.now + person.SESSION_LIFE_MS, secret
    )
    people.begin_session(
        transaction,
        user,
        session,
        organization=organization,
        membership=membership,
        digest=digest,
        as_of=as_of,
        created_at=visit.now,
        expires_at=opened.expires_at,
        source_address=visit.source_address,
        user_agent=visit.user_agent,
    )
    audit_records.put(
        transaction,
        success(
            visit.origin(organization, user, session),
            UserLoggedIn(user_id=user, session_id=session, method=method),
            resource=("user", user),
        ),
        part="session_audit",
    )
    return opened


def open_session(
    patience: Patience, visit: Visit, user: PersonItem, member: OrganizationItem, *, method: Method
) -> Opened:
    """Open a session for somebody who has just proved to be this person.

    Args:
        patience: how contention is waited out.
        visit: from where.
        user: the person's row as it was read for the proof: what moved since refuses the session.
        member: the membership as it was read: to its organization the session is bound.
        method: how it was proved.

    Raises:
        Unauthenticated: the person was disabled, logged out everywhere, changed the password or
            left the organization at this very moment.
        Contention: to be repeated.
    """
    for _ in patience.rounds():
        transaction = Transaction()
        opened = begin(
            transaction,
            visit,
            user=user.pk,
            organization=member.organization,
            membership=member.membership,
            method=method,
            valid_from=user.valid_from,
        )
        people.check_unmoved(transaction, user)
        organizations.check_member(transaction, member)
        cancelled = transaction.write()
        # The SDK repeats a request whose answer was lost; the session that stands in the way is
        # then our own, for its identifier follows from 256 random bits.
        if cancelled is None or "session" in cancelled.refused:
            return opened
        if cancelled.refused:
            raise moved()
    raise AssertionError("unreachable: patience raises")


def moved() -> Unauthenticated:
    """The answer to a proof that was good until this very moment."""
    return Unauthenticated("The login was not accepted.", code="login_failed")
