"""What changes a presence row: the beat, and the changes of status that leave evidence.

`presence_changes` has those that operators and rotations make.
"""

from typing import Any

import msgspec
from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.store import instances
from chalicelib.store.agent_presence import (
    ENROLLED,
    OFFLINE,
    ONLINE,
    REVOKED,
    AgentPresenceItem,
)
from chalicelib.store.connection import (
    CONDITION_FAILED,
    CONFLICT,
    guarded,
    response_code,
    update_item,
)
from chalicelib.store.transaction import Transaction

_P = AgentPresenceItem
# Written out, by the attributes' short names: pynamodb would put these together anew for every
# beat, at a tenth of the whole beat's CPU.
_HEARD = (
    "SET k = :key, q = :sequence, b = :nonce, i = :instance, l = :now, n = :next, due = :due,"
    " v = :version, u = :unpersisted"
)
_IN_TURN = (
    "s = :online AND (k = :key OR p = :key) AND contains(sc, :scope) AND i = :instance"
    " AND q < :sequence AND n <= :now"
)
# Whoever has something to hear fails these, and so a steady beat needs no answer of the database:
# the row that comes with the failure says what it is.
_NOTHING_TO_SAY = " AND attribute_not_exists(r)"
_SAME_FACTS = " AND f = :facts"
# Once a key is promoted, both are the same: a wish that came after that must not be taken for this.
_PROMOTES = " AND p = :key AND k <> :key"
_REPEATED = (
    "s = :status AND contains(sc, :scope) AND i = :instance AND q = :sequence AND b = :nonce"
)


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat as it meets the row. Times are milliseconds since the epoch."""

    organization: str
    agent: str
    key: bytes
    scope: str
    sequence: int
    nonce: str
    instance: str
    version: str
    unpersisted: bool
    facts: bytes | None
    source_address: str | None
    now: int
    next_allowed: int
    due: str


class Accepted(msgspec.Struct, frozen=True):
    """The beat is written."""


class NotAccepted(msgspec.Struct, frozen=True):
    """The beat is not written; `row` is the row as it was, or None where there is none."""

    row: AgentPresenceItem | None


class Conflicted(msgspec.Struct, frozen=True):
    """A transaction held the row at that instant: no verdict, worth another attempt."""


def beat(
    beat: Beat, *, with_news: bool = False, ends_wish: bool = False
) -> Accepted | NotAccepted | Conflicted:
    """Accept a steady heartbeat in ONE request, or learn from the same request why not.

    A repetition of the last accepted beat fails the condition, and the row that comes with the
    failure shows it (`repeats`): so it moves nothing. Setting the key is a no-op for the current
    one and promotes the pending one.

    Args:
        beat: the heartbeat.
        with_news: also where the agent is to be told something: its facts are wanted, or a new
            key. The caller has seen the row, which came with the failure of the first attempt.
        ends_wish: the beat shows the pending key, as the row says: nobody wants another one now.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        try:
            update_item(
                TableName=_P.Meta.table_name,
                Key={"pk": {"S": f"{beat.organization}#{beat.agent}"}},
                UpdateExpression=_HEARD + (" REMOVE r" if ends_wish else ""),
                ConditionExpression=_condition(beat, with_news=with_news)
                + (_PROMOTES if ends_wish else ""),
                ExpressionAttributeValues=_values(beat, with_news=with_news),
            )
        except ClientError as error:
            code = response_code(error)
            if code == CONFLICT:
                return Conflicted()
            if code != CONDITION_FAILED:
                raise
            response: dict[str, Any] = dict(error.response)
            return NotAccepted(_P.from_item(response.get("Item")))
    return Accepted()


def _condition(beat: Beat, *, with_news: bool) -> str:
    if with_news:
        return _IN_TURN
    return _IN_TURN + _NOTHING_TO_SAY + (_SAME_FACTS if beat.facts is not None else "")


def _values(beat: Beat, *, with_news: bool) -> dict[str, dict[str, Any]]:
    # DynamoDB refuses a value that the expressions do not use.
    facts = {} if with_news or beat.facts is None else {":facts": {"B": beat.facts}}
    return {
        **facts,
        ":online": {"S": ONLINE},
        ":scope": {"S": beat.scope},
        ":key": {"B": beat.key},
        ":sequence": {"N": str(beat.sequence)},
        ":nonce": {"S": beat.nonce},
        ":instance": {"S": beat.instance},
        ":now": {"N": str(beat.now)},
        ":next": {"N": str(beat.next_allowed)},
        ":due": {"S": beat.due},
        ":version": {"S": beat.version},
        ":unpersisted": {"BOOL": beat.unpersisted},
    }


def repeats(beat: Beat, seen: AgentPresenceItem) -> bool:
    """Whether the row has this very beat already: its answer was lost, or the SDK sent it twice."""
    return (seen.instance, seen.sequence, seen.nonce) == (beat.instance, beat.sequence, beat.nonce)


def promotes(beat: Beat, seen: AgentPresenceItem) -> bool:
    """Whether the beat is the first that shows the pending key."""
    return seen.pending_key is not None and beat.key == seen.pending_key != seen.key


def promote(beat: Beat, seen: AgentPresenceItem) -> bool:
    """Make the pending key the agent's, where a repetition is the first that shows it.

    Nothing else of the row moves, except that a wish for a rotation ends. It happens once for each
    rotation, so it is no way round the limit.

    Returns:
        Whether it is written; not where the row changed since it was seen.

    Raises:
        Unavailable: the database did not answer.
    """
    with guarded():
        try:
            update_item(
                TableName=_P.Meta.table_name,
                Key={"pk": {"S": seen.pk}},
                UpdateExpression="SET k = :key REMOVE r",
                ConditionExpression=_REPEATED + _PROMOTES,
                ExpressionAttributeValues={
                    ":status": {"S": seen.status},
                    ":key": {"B": beat.key},
                    ":scope": {"S": beat.scope},
                    ":instance": {"S": beat.instance},
                    ":sequence": {"N": str(beat.sequence)},
                    ":nonce": {"S": beat.nonce},
                },
            )
        except ClientError as error:
            if response_code(error) not in (CONFLICT, CONDITION_FAILED):
                raise
            return False
    return True


def resume(transaction: Transaction, beat: Beat, seen: AgentPresenceItem) -> None:
    """Add the slow path (part `presence`): the agent becomes online, from the row as it was seen.

    Serves the first beat, the return of an offline agent and a new process of the agent.
    """
    actions = [*_beat_actions(beat), _P.status.set(ONLINE), *_instance_actions(beat, seen)]
    if promotes(beat, seen):
        actions.append(_P.rotation_requested.remove())
    unchanged = (
        (_P.status == seen.status)
        & holds(beat.key)
        & (_P.key == seen.key)
        & _P.scopes.contains(beat.scope)
        & (_P.instance == seen.instance if seen.instance else _P.instance.does_not_exist())
        & (_P.sequence == seen.sequence if seen.sequence else _P.sequence.does_not_exist())
    )
    transaction.update(
        "presence",
        _P(f"{beat.organization}#{beat.agent}"),
        actions,
        unchanged,
    )


def _instance_actions(beat: Beat, seen: AgentPresenceItem) -> list[Action]:
    if seen.instance == beat.instance:
        return []
    earlier = instances.after(seen, beat.now, but=beat.instance)
    return [
        _P.instance_since.set(beat.now),
        _P.source_address.set(beat.source_address)
        if beat.source_address
        else _P.source_address.remove(),
        _P.earlier_instances.set(earlier) if earlier else _P.earlier_instances.remove(),
    ]


def holds(key: bytes) -> Condition:
    """The condition that a key is the agent's, or the pending one."""
    condition: Condition = (_P.key == key) | (_P.pending_key == key)
    return condition


def _beat_actions(beat: Beat) -> list[Action]:
    return [
        _P.key.set(beat.key),
        _P.sequence.set(beat.sequence),
        _P.nonce.set(beat.nonce),
        _P.instance.set(beat.instance),
        _P.last_seen.set(beat.now),
        _P.next_allowed.set(beat.next_allowed),
        _P.due.set(beat.due),
        _P.version.set(beat.version),
        _P.unpersisted.set(beat.unpersisted),
    ]


def create(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    project: str,
    environment: str,
    key: bytes,
    scopes: set[str],
) -> None:
    """Add the presence of a fresh agent (part `presence`): enrolled, and not yet heard."""
    transaction.put(
        "presence",
        _P(
            f"{organization}#{agent}",
            project=project,
            environment=environment,
            status=ENROLLED,
            key=key,
            scopes=scopes,
        ),
        _P.pk.does_not_exist(),
    )


def replace_unused_key(
    transaction: Transaction, organization: str, agent: str, *, old: bytes, new: bytes
) -> None:
    """Add the change of a key that was never used (part `presence`).

    The first heartbeat ends this: the row is no longer `enrolled`, at the cost of no write.
    """
    transaction.update(
        "presence",
        _P(f"{organization}#{agent}"),
        [_P.key.set(new)],
        (_P.status == ENROLLED) & (_P.key == old),
    )


def mark_offline(transaction: Transaction, seen: AgentPresenceItem) -> None:
    """Add the end of being online (part `presence`), unless the agent beat since it was seen."""
    transaction.update(
        "presence",
        _P(seen.pk),
        [_P.status.set(OFFLINE), _P.due.remove()],
        (_P.status == ONLINE) & (_P.last_seen == seen.last_seen),
    )


def revoke(transaction: Transaction, organization: str, agent: str, part: str = "presence") -> None:
    """Add the end of the agent. Its keys stay, so that it can be told why."""
    transaction.update(
        part,
        _P(f"{organization}#{agent}"),
        [_P.status.set(REVOKED), _P.due.remove()],
        _P.pk.exists() & (_P.status != REVOKED),
    )


def revoke_as_seen(transaction: Transaction, seen: AgentPresenceItem, part: str) -> None:
    """Add the end of the agent, unless it beat, changed its status or was released meanwhile."""
    unheard = _unchanged(_P.last_seen, seen.last_seen) & _unchanged(
        _P.released_at, seen.released_at
    )
    transaction.update(
        part,
        _P(seen.pk),
        [_P.status.set(REVOKED), _P.due.remove()],
        (_P.status == seen.status) & unheard,
    )


def _unchanged(attribute: NumberAttribute, value: float | None) -> Condition:
    condition: Condition = attribute == value if value is not None else attribute.does_not_exist()
    return condition
