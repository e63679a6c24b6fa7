"""Refused attempts to enroll: some rows for each token and minute, the rest in a count.

They live in the table of the tokens, each in a partition of its own, and are listed by the index
of the tokens under a hash key of their own.
"""

import datetime
from collections.abc import Iterator

import msgspec
from pynamodb.expressions.update import Action

from chalicelib.evidence.record import Origin
from chalicelib.store.connection import guarded
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.paging import SHARDS, Span, merged, shard_key, shard_of

MOST_A_MINUTE = 20
MORE = "more"
"""The reason of the row that counts what came beyond these."""
KEPT = datetime.timedelta(days=30)
_MINUTE_MS = 60_000


class Claimed(msgspec.Struct, frozen=True):
    """What a host said of itself. Its machine id, CSR and labels have no place here."""

    hostname: str | None = None
    name: str | None = None
    os: str | None = None
    arch: str | None = None
    agent_version: str | None = None


def record(origin: Origin, token: EnrollmentTokenItem, claimed: Claimed, reason: str) -> None:
    """Count an attempt in the row of its token and minute, and keep it while these are few.

    One row counts, and its count decides: exact, however many are refused at once. It is listed
    from the first attempt on that is counted and not kept; whoever finds it unlisted then lists
    it, should the one before have died. One that the SDK sends again after a lost answer counts
    twice.

    Raises:
        Unavailable: the database did not answer.
    """
    minute = origin.now // _MINUTE_MS
    item = EnrollmentTokenItem
    counter = item(f"{origin.organization}#{token.token}#attempts#{minute}")
    with guarded():
        counter.update(
            [
                item.refused.add(1),
                item.token.set(token.token),
                item.created_at.set(item.created_at | origin.now),
                item.ttl.set(_end(origin.now)),
            ]
        )
        number = int(counter.refused)
        if number <= MOST_A_MINUTE:
            _keep(origin, token, claimed, reason, number)
        elif counter.created is None:
            _list(origin, token, counter)


def _keep(
    origin: Origin, token: EnrollmentTokenItem, claimed: Claimed, reason: str, number: int
) -> None:
    # Without a condition: nobody else has the number, and a repetition by the SDK is the same.
    EnrollmentTokenItem(
        f"{origin.organization}#{token.token}#attempt#{origin.now // _MINUTE_MS}#{number}",
        environment_shard=_shard(origin, token, number),
        created=f"{origin.now:015d}#{token.token}#{number:02}",
        token=token.token,
        project=token.project,
        environment=token.environment,
        created_at=origin.now,
        reason=reason,
        request_id=origin.request_id,
        source_address=origin.source_address,
        claimed=msgspec.to_builtins(claimed),
        ttl=_end(origin.now),
    ).save()


def _list(origin: Origin, token: EnrollmentTokenItem, counter: EnrollmentTokenItem) -> None:
    item = EnrollmentTokenItem
    number = MOST_A_MINUTE + 1
    actions: list[Action] = [
        item.environment_shard.set(_shard(origin, token, number)),
        item.created.set(f"{origin.now:015d}#{token.token}#{number:02}"),
        item.created_at.set(origin.now),
        item.environment.set(token.environment),
        item.reason.set(MORE),
    ]
    if token.project is not None:
        actions.append(item.project.set(token.project))
    counter.update(actions)


def count_of(row: EnrollmentTokenItem) -> int:
    """How many attempts a listed row stands for."""
    return 1 if row.refused is None else int(row.refused) - MOST_A_MINUTE


def listed(organization: str, environment: str, span: Span) -> Iterator[EnrollmentTokenItem]:
    """An environment's refused attempts in order of time."""
    shards = [_shard_key(organization, environment, shard) for shard in range(SHARDS)]
    return merged(EnrollmentTokenItem.by_environment, shards, EnrollmentTokenItem.created, span)


def _shard(origin: Origin, token: EnrollmentTokenItem, number: int) -> str:
    minute = origin.now // _MINUTE_MS
    shard = shard_of(f"{token.token}#{minute}#{number}")
    return _shard_key(origin.organization, str(token.environment), shard)


def _shard_key(organization: str, environment: str, shard: int) -> str:
    return shard_key(organization, environment, "attempts", shard=shard)


def _end(now: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now // 1000, tz=datetime.UTC) + KEPT
