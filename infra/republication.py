"""The work of `republish`: audit records of a time range, in order, at a bounded rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.publisher import (
    NotPublishedError,
    Poison,
    Published,
    Record,
    envelope_of,
)
from chalicelib.store import audit_records
from infra.audit_pages import Row, organizations, records, sort_of
from infra.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from infra.console import Say

Send = Callable[[Sequence[Record | Poison]], Published]

_AT_ONCE = 10  # what one PutEvents takes
# A record bears the time of its request, which may have been under way when the outage began, and
# that of a refusal the start of its minute.
_MINUTE_MS = 60_000
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_SAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Position:
    """A record, and with it how far a republication came."""

    organization: str
    sort: str

    def __str__(self) -> str:
        return f"{self.organization}:{self.sort}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """What `str` made.

        Raises:
            ValueError: it is something else.
        """
        organization, _, sort = text.partition(":")
        at, _, record = sort.partition("#")
        if not (
            ids.is_a(ids.ORGANIZATION, organization)
            and at.isdecimal()
            and ids.is_a(ids.AUDIT_RECORD, record)
        ):
            raise ValueError(text)
        return cls(organization, sort)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: times in milliseconds, inclusive; no organization means all."""

    since: int
    until: int
    organizations: tuple[str, ...] = ()
    after: Position | None = None

    @property
    def first(self) -> int:
        """Where reading begins, so that nothing that was written since then is missed."""
        return max(0, self.since - self.since % _MINUTE_MS - _MINUTE_MS)


class Republication:
    """One run; what it has done can be read at any moment.

    Args:
        client: of DynamoDB.
        prefix: of the stage's tables.
        wanted: which records.
        send: publishes some of them.
        rate: events a second at most.
        monotonic: seconds.
        sleep: waits for a number of seconds.
        say: takes the lines that tell of progress.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        prefix: str,
        wanted: Wanted,
        send: Send,
        *,
        rate: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
        say: Say,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._wanted = wanted
        self._send = send
        self._rate = rate
        self._monotonic = monotonic
        self._sleep = sleep
        self._say = say
        self._free = self._said = monotonic()
        self.events = self.poison = self.organizations = self.looked_at = 0
        self.position = wanted.after

    def run(self) -> None:
        """Publish all that is wanted.

        Raises:
            DeployError: EventBridge does not take events; `position` is where to go on.
        """
        wanted = self._wanted
        self._say(f"audit records from {rfc3339(wanted.first)} to {rfc3339(wanted.until)}")
        for organization in self._organizations():
            self.looked_at += 1
            before = self.events + self.poison
            self._work(organization)
            self.organizations += self.events + self.poison > before
            if organization in wanted.organizations:
                found = self.events + self.poison - before
                self._say(f"{organization}: {found} records")

    def _organizations(self) -> Iterator[str]:
        after = self._wanted.after
        if named := self._wanted.organizations:
            yield from named[named.index(after.organization) if after else 0 :]
            return
        if after is not None:
            yield after.organization
        yield from organizations(
            self._client, self._prefix, after.organization if after is not None else None
        )

    def _work(self, organization: str) -> None:
        after = self._wanted.after
        rows = records(
            self._client,
            self._prefix,
            organization,
            since=self._wanted.first,
            until=self._wanted.until,
            after=after.sort if after is not None and after.organization == organization else None,
        )
        while chunk := list(islice(rows, _AT_ONCE)):
            self._wait_for(len(chunk))
            published = self._published([_record(row) for row in chunk])
            self.events += published.events
            self.poison += published.poison
            self.position = Position(organization, sort_of(chunk[-1]))
            self._tell()

    def _published(self, chunk: Sequence[Record | Poison]) -> Published:
        for pause in _PAUSES:
            try:
                return self._send(chunk)
            except NotPublishedError as error:
                self._say(f"{error}; again in {pause:g} s")
                self._sleep(pause)
        try:
            return self._send(chunk)
        except NotPublishedError as error:
            raise DeployError(f"{error}; nothing is lost") from error

    def _wait_for(self, events: int) -> None:
        now = self._monotonic()
        if now < self._free:
            self._sleep(self._free - now)
        self._free = max(now, self._free) + events / self._rate

    def _tell(self) -> None:
        now = self._monotonic()
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            self._say(f"{self.events} events, {self.poison} poison; at {self.position}")


def count_only(chunk: Sequence[Record | Poison]) -> Published:
    """What `Publisher.publish` would say, without an event or a letter."""
    poison = 0
    for record in chunk:
        try:
            poison += isinstance(record, Poison)
            if not isinstance(record, Poison):
                envelope_of(record)
        except Exception:  # noqa: BLE001 - as the publisher sees it
            poison += 1
    return Published(len(chunk) - poison, poison)


def _record(row: Row) -> Record | Poison:
    try:
        return audit_records.from_stream(row)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the others
        return Poison(dict(row), f"{type(error).__name__}: {error}")
