"""How often somebody tried to log in lately: rows `login#…` of the `people` table.

An attempt is counted before the password is looked at, so that no more of them come through at
once than one after the other. None of these rows is in a transaction with another one.
"""

import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from chalicelib.store.connection import CONDITION_FAILED, guarded, response_code, update_item
from chalicelib.store.people import PersonItem

_ITEM = "attempts"
_ADD = "SET failures = if_not_exists(failures, :none) + :one, #window = :now"
_TAKE = "SET failures = :attempts, #window = :now"
_EXPIRES = ", #ttl = :ttl"
_KEPT_SECONDS = 3600
_FRESH = "failures < :free AND #window > :stale"


class Limit(msgspec.Struct, frozen=True):
    """How many attempts pass, and how long each one more has to wait. Times in milliseconds.

    Args:
        free: attempts that need not wait.
        first_wait: after the last of those; it doubles with each one more.
        longest_wait: and no longer than this.
        forgotten_after: without an attempt for so long, all begins anew.
    """

    free: int
    first_wait: int = 30_000
    longest_wait: int = 900_000
    forgotten_after: int = 3_600_000

    def wait_after(self, attempts: int) -> int:
        """How long the next attempt waits after so many."""
        if attempts < self.free:
            return 0
        # The shift is bounded: a row may have counted for a year.
        return min(self.longest_wait, self.first_wait << min(attempts - self.free, 16))


class Reserved(msgspec.Struct, frozen=True):
    """The attempt may be made; it counts until it is given back."""


class Locked(msgspec.Struct, frozen=True):
    """The attempt may not be made for some milliseconds."""

    wait: int


class Unknown(msgspec.Struct, frozen=True):
    """There is no such row, or its time is over."""


class Moved(msgspec.Struct, frozen=True):
    """Somebody else's attempt came between: to be asked again."""


Outcome = Reserved | Locked | Unknown | Moved


def reserve(pk: str, limit: Limit, now: int) -> Outcome:
    """Count an attempt, or tell how long none may be made.

    Args:
        pk: of the row, which is made where it is not there.
        limit: what may pass.
        now: milliseconds since the epoch.

    Raises:
        Unavailable: the database did not answer.
    """
    kept = _seconds(now + limit.forgotten_after + limit.longest_wait)
    condition = f"attribute_not_exists(failures) OR ({_FRESH})"
    return _reserve(pk, limit, now, _EXPIRES, condition, {":none": 0, ":ttl": kept})


def reserve_known(pk: str, limit: Limit, now: int) -> Outcome:
    """The same for a row that `remember` made, if it is there and its time is not over."""
    condition = f"attribute_exists(pk) AND expires_at > :now AND {_FRESH}"
    return _reserve(pk, limit, now, "", condition, {":none": 0})


def _reserve(
    pk: str, limit: Limit, now: int, expiry: str, condition: str, values: dict[str, int]
) -> Outcome:
    stale = now - limit.forgotten_after
    values |= {":one": 1, ":now": now, ":free": limit.free, ":stale": stale}
    seen = _write(pk, _ADD + expiry, condition, values)
    if seen is None:
        return Reserved()
    row = PersonItem.from_item(seen)
    if row is None or (not expiry and int(row.expires_at or 0) <= now):
        return Unknown()
    attempts, last = int(row.failures or 0), int(row.window or 0)
    if last <= stale:
        attempts = 0
    elif (wait := last + limit.wait_after(attempts) - now) > 0:
        return Locked(wait)
    # One attempt is free again, for whoever finds the row as it was seen.
    values |= {":attempts": attempts + 1, ":seen": int(row.failures or 0), ":last": last}
    taken = _write(pk, _TAKE + expiry, "failures = :seen AND #window = :last", values)
    return Reserved() if taken is None else Moved()


def give_back(pk: str) -> None:
    """An attempt does not count: it was no guess.

    Raises:
        Unavailable: the database did not answer.
    """
    _write(pk, "SET failures = failures - :one", "failures >= :one", {":one": 1})


def forget(pk: str) -> None:
    """No attempt counts any more.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        PersonItem(pk, _ITEM).delete()


def remember(pk: str, now: int, until: int) -> None:
    """Make a row known, with no attempts, until some time.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        PersonItem(
            pk, _ITEM, failures=0, window=now, created_at=now, expires_at=until, ttl=_moment(until)
        ).save()


def note_nobody(name: str, now: int) -> None:
    """Write that a login failed for a name that is nobody's.

    It costs what the audit record costs that is written for somebody's, so that neither the
    requests nor their time tell the two apart.

    Raises:
        Unavailable: the database did not answer.
    """
    until = now + _KEPT_SECONDS * 1000
    with guarded():
        PersonItem(f"login#nobody#{name}", _ITEM, window=now, ttl=_moment(until)).save()


def spend(pk: str, cost: int, most: int, now: int) -> bool:
    """Spend of a budget that is one row; False where it is used up.

    Raises:
        Unavailable: the database did not answer.
    """
    values = {":one": cost, ":none": 0, ":room": most - cost, ":now": now}
    condition = "attribute_not_exists(failures) OR failures <= :room"
    kept = _seconds(now) + _KEPT_SECONDS
    return _write(pk, _ADD + _EXPIRES, condition, {**values, ":ttl": kept}) is None


def _write(pk: str, update: str, condition: str, values: dict[str, int]) -> dict[str, Any] | None:
    """Update a row; where its condition fails, the row as it is (empty where there is none)."""
    said = update + condition
    request: dict[str, Any] = {
        "TableName": PersonItem.Meta.table_name,
        "Key": {"pk": {"S": pk}, "item": {"S": _ITEM}},
        "UpdateExpression": update,
        "ConditionExpression": condition,
        # DynamoDB refuses names and values that nobody uses.
        "ExpressionAttributeValues": {
            name: {"N": str(value)} for name, value in values.items() if name in said
        },
    }
    names = {name: name[1:] for name in ("#window", "#ttl") if name in said}
    if names:
        request["ExpressionAttributeNames"] = names
    with guarded():
        try:
            update_item(**request)
        except ClientError as error:
            if response_code(error) != CONDITION_FAILED:
                raise
            response: dict[str, Any] = dict(error.response)
            return response.get("Item") or {}
    return None


def _seconds(milliseconds: int) -> int:
    return milliseconds // 1000


def _moment(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(_seconds(milliseconds), tz=datetime.UTC)
