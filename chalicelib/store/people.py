"""People: their logins, sessions, personal API tokens, and which organizations they belong to.

A person may belong to several organizations, so this table's keys begin with the person (law 4
names the exception). What a person may do in an organization is that organization's row.
"""

import datetime
from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.store.connection import CONDITION_FAILED, CONFLICT, guarded, response_code
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

ACTIVE = "active"
DISABLED = "disabled"
REVOKED = "revoked"
USER = "user"
CLOCKS_APART_MS = 2_000
KEPT = datetime.timedelta(days=7)
"""How long a session or personal API token stays in the table after its end."""


class PersonItem(Table):
    """A row of the `people` table.

    By `pk` and `item`:

    - `usr_…`, `user`: the person; `home` is the organization that made the account and may
      disable it.
    - `usr_…`, `session#ses_…` and `token#pat_…`: a session, a personal API token.
    - `usr_…`, `organization#org_…`: the person belongs to this organization.
    - `username#…`, `username`: whose login name it is.
    - `identity#org_…#<sha256>`, `identity`: whose identity at a provider it is.
    - `org_…`, `invitation#inv_…`: an invitation of the organization.
    - `login#…`, `attempts`: how many logins failed lately, for a name, a source, or in all.
    - `login#oidc#<sha256>`, `state`: a login by a provider whose answer was taken.
    """

    class Meta:
        table_name = StageTable("people")

    pk = UnicodeAttribute(hash_key=True)
    item = UnicodeAttribute(range_key=True)
    user = UnicodeAttribute(null=True)
    organization = UnicodeAttribute(null=True)
    home = UnicodeAttribute(null=True)
    status = UnicodeAttribute(default=ACTIVE)
    username = UnicodeAttribute(null=True)
    display_name = UnicodeAttribute(null=True)
    password_hash = UnicodeAttribute(null=True)
    valid_from = NumberAttribute(null=True)
    """Sessions that began before are over: that is how one logs out everywhere (milliseconds)."""
    as_of = NumberAttribute(null=True)
    """Of a session: what its beginning counts as, where that is not `created_at`."""
    membership = UnicodeAttribute(null=True)
    """Of a session or personal API token: under which of the person's memberships it was made."""
    tokens_minted = NumberAttribute(null=True)
    """Of a person: grows with each personal API token, so that two at once see each other."""
    digest = BinaryAttribute(null=True, legacy_encoding=False)
    scopes: JSONAttribute = JSONAttribute(null=True)
    name = UnicodeAttribute(null=True)
    role = UnicodeAttribute(null=True)
    projects: JSONAttribute = JSONAttribute(null=True)
    invited_by = UnicodeAttribute(null=True)
    note = UnicodeAttribute(null=True)
    user_agent = UnicodeAttribute(null=True)
    source_address = UnicodeAttribute(null=True)
    failures = NumberAttribute(null=True)
    window = NumberAttribute(null=True)
    locked_until = NumberAttribute(null=True)
    issuer = UnicodeAttribute(null=True)
    subject = UnicodeAttribute(null=True)
    created_at = NumberAttribute(null=True)
    last_used_at = NumberAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    ttl = TTLAttribute(null=True)


def user_row(user: str) -> Key:
    """Where a person lives."""
    return PersonItem, user, USER


def session_row(user: str, session: str) -> Key:
    """Where a session lives."""
    return PersonItem, user, f"session#{session}"


def personal_token_row(user: str, token: str) -> Key:
    """Where a personal API token lives."""
    return PersonItem, user, f"token#{token}"


def find_user(user: str) -> PersonItem | None:
    """A person, as they are now."""
    return PersonItem.read(user, USER)


def belongings(user: str, prefix: str) -> Iterator[PersonItem]:
    """A person's rows of one kind (`session#`, `token#`, `organization#`), strongly read."""
    with guarded():
        yield from PersonItem.query(user, PersonItem.item.startswith(prefix), consistent_read=True)


def put_new(transaction: Transaction, part: str, pk: str, item: str, **attributes: Any) -> None:  # noqa: ANN401
    """Add the creation of a row that must not exist yet."""
    transaction.put(part, PersonItem(pk, item, **attributes), PersonItem.pk.does_not_exist())


def find_username(username: str) -> PersonItem | None:
    """Whose login name it is (lower case); its `user` is the person."""
    return PersonItem.read(f"username#{username}", "username")


def listed(user: str, kind: str, after: str | None = None) -> Iterator[PersonItem]:
    """A person's rows of a kind (`session`, `token`), in the order of their identifiers."""
    first = f"{kind}#{after}!" if after is not None else f"{kind}#"
    with guarded():
        yield from PersonItem.query(
            user, PersonItem.item.between(first, f"{kind}#~"), consistent_read=True
        )


def claim_username(transaction: Transaction, username: str, user: str, now: int) -> None:
    """Add that a login name (lower case) is a person's, if it is nobody's (part `username`)."""
    put_new(transaction, "username", f"username#{username}", "username", user=user, created_at=now)


def begin_session(transaction: Transaction, user: str, session: str, **attributes: Any) -> None:  # noqa: ANN401
    """Add a new session (part `session`)."""
    kept = _kept_after(attributes["expires_at"])
    put_new(transaction, "session", user, f"session#{session}", ttl=kept, **attributes)


def began(session: PersonItem) -> int:
    """When a session began, as held against its person's `valid_from`."""
    return int(session.as_of or session.created_at or 0)


def spare(transaction: Transaction, seen: PersonItem, session: str, valid_from: int) -> None:
    """Add that a session goes on where all others of its person end (part `session`).

    One that has ended does not come back by it.
    """
    row = PersonItem(seen.pk, f"session#{session}")
    transaction.update("session", row, [PersonItem.as_of.set(valid_from)], _is_live(seen))


def check_session(
    transaction: Transaction, seen: PersonItem, session: str, membership: str | None
) -> None:
    """Add the condition that a session of a person has not ended (part `session`).

    Nor may it be of another membership than the one that is given; None where that has no name.
    """
    row, own = PersonItem(seen.pk, f"session#{session}"), PersonItem.membership
    same = own.does_not_exist() if membership is None else _unnamed_or(own, membership)
    transaction.check("session", row, _is_live(seen) & same)


def _unnamed_or(attribute: UnicodeAttribute, value: str) -> Condition:
    # A session from before memberships had names is told by its time, when it is identified.
    condition: Condition = attribute.does_not_exist() | (attribute == value)
    return condition


def _is_live(seen: PersonItem) -> Condition:
    item, before = PersonItem, int(seen.valid_from or 0)
    live = (item.as_of >= before) | (item.as_of.does_not_exist() & (item.created_at >= before))
    condition: Condition = (item.status == ACTIVE) & live
    return condition


def end(transaction: Transaction, part: str, row: PersonItem, now: int) -> None:
    """Add the end of a session or personal API token that has not ended."""
    item = PersonItem
    actions: list[Action] = [item.status.set(REVOKED), item.ttl.set(_kept_after(now))]
    transaction.update(part, item(row.pk, row.item), actions, item.status == ACTIVE)


def mint_personal_token(
    transaction: Transaction,
    seen: PersonItem,
    token: str,
    **attributes: Any,  # noqa: ANN401
) -> PersonItem:
    """Add a personal API token (part `token`), if none was made since its person was read."""
    row = PersonItem(
        seen.pk, f"token#{token}", ttl=_kept_after(attributes["expires_at"]), **attributes
    )
    transaction.put("token", row, PersonItem.pk.does_not_exist())
    minted = PersonItem.tokens_minted
    alone = _as_seen(minted, seen.tokens_minted)
    change(transaction, seen, [minted.set(int(seen.tokens_minted or 0) + 1)], alone)
    return row


def change(
    transaction: Transaction,
    seen: PersonItem,
    actions: list[Action],
    condition: Condition | None = None,
) -> None:
    """Add a change of a person who is as they were read (part `user`)."""
    unmoved_too = unmoved(seen) if condition is None else unmoved(seen) & condition
    transaction.update("user", PersonItem(seen.pk, USER), actions, unmoved_too)


def rename(transaction: Transaction, seen: PersonItem, display_name: str | None) -> None:
    """Add another display name, if nobody else has changed it."""
    name = PersonItem.display_name
    action = name.set(display_name) if display_name is not None else name.remove()
    change(transaction, seen, [action], _as_seen(name, seen.display_name))


def end_all_sessions(
    transaction: Transaction, seen: PersonItem, valid_from: int, *, password_hash: str | None = None
) -> None:
    """Add that all sessions until now end, and that the password is another one."""
    actions: list[Action] = [PersonItem.valid_from.set(valid_from)]
    if password_hash is not None:
        actions.append(PersonItem.password_hash.set(password_hash))
    change(transaction, seen, actions)


def next_valid_from(seen: PersonItem, now: int) -> int:
    """A time that is after the beginning of every session that there is.

    Also of those that a worker opened whose clock is ahead of ours.
    """
    return max(now + CLOCKS_APART_MS, int(seen.valid_from or 0)) + 1


def rehash(seen: PersonItem, password_hash: str) -> bool:
    """Keep the same password under another hash; False where the person moved meanwhile.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        try:
            PersonItem(seen.pk, USER).update(
                [PersonItem.password_hash.set(password_hash)], unmoved(seen)
            )
        except UpdateError as error:
            if response_code(error) in {CONDITION_FAILED, CONFLICT}:
                return False
            raise
    return True


def check_unmoved(transaction: Transaction, seen: PersonItem) -> None:
    """Add the condition that a person is as they were read (part `user`)."""
    transaction.check("user", PersonItem(seen.pk, USER), unmoved(seen))


def unmoved(seen: PersonItem) -> Condition:
    """Active, with the password and the time of logging out everywhere that were read."""
    same_password = _as_seen(PersonItem.password_hash, seen.password_hash)
    same_moment = _as_seen(PersonItem.valid_from, seen.valid_from)
    condition: Condition = (PersonItem.status == ACTIVE) & same_password & same_moment
    return condition


def _as_seen(attribute: Any, value: object) -> Condition:  # noqa: ANN401 - of any type
    condition: Condition = attribute.does_not_exist() if value is None else attribute == value
    return condition


def _kept_after(milliseconds: int) -> datetime.datetime:
    # For some time it can be told that it is over, and not only that it is worth nothing.
    return datetime.datetime.fromtimestamp(milliseconds // 1000, tz=datetime.UTC) + KEPT
