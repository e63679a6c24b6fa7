"""The presence sweep: finds overdue agents in closed buckets of the index, and never scans."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import msgspec

from chalicelib.errors import Contention
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentOffline
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.contention import Patience
from chalicelib.store import agent_presence, audit_records, presence_writes, sweep_watermark
from chalicelib.store.agent_presence import ONLINE, AgentPresenceItem, bucket_of
from chalicelib.store.transaction import Transaction

_AT_ONCE = 8
_CHUNK = 64
_FIRST_LOOK_BACK_BUCKETS = 288
"""A day of buckets of the default width; a day of narrow ones would take a sweep minutes."""


class SweepTools(msgspec.Struct, frozen=True):
    """What the sweep needs from outside."""

    patience: Patience
    clock: Callable[[], int]
    time_is_up: Callable[[], bool]
    bucket_seconds: int
    request_id: str


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did; `through` is the newest bucket that it finished."""

    offline: int
    buckets: int
    through: int | None


def sweep(tools: SweepTools) -> Swept:
    """Mark the agents of all closed buckets offline, unless they beat since.

    The watermark moves only over buckets that were finished, and stays one behind the newest:
    the index is eventually consistent, so the newest is looked at again. A sweep begins with the
    watermark's own bucket and works on one more at least, so that it always comes further.

    Raises:
        Unavailable: the database did not answer; the next sweep goes on from the watermark.
    """
    width = tools.bucket_seconds
    newest = bucket_of(tools.clock(), width) - width
    watermark = sweep_watermark.read()
    # A stage whose bucket width was changed starts anew on the new grid.
    first = newest - _FIRST_LOOK_BACK_BUCKETS * width if watermark is None else watermark
    first -= first % width
    offline = buckets = 0
    through, all_finished = None, True
    for bucket in range(first, newest + 1, width):
        marked, finished = _sweep_bucket(tools, bucket)
        offline, buckets = offline + marked, buckets + 1
        all_finished = all_finished and finished
        if all_finished:
            through = bucket
        if bucket > first and tools.time_is_up():
            break
    if through is not None:
        reached = min(through, newest - width)
        if watermark is None or reached > watermark:
            sweep_watermark.advance(reached)
    return Swept(offline, buckets, through)


def _sweep_bucket(tools: SweepTools, bucket: int) -> tuple[int, bool]:
    """How many agents of a bucket went offline, and whether none was left for the next sweep.

    When a whole site falls silent, one bucket holds most of a fleet: agents are marked several at
    a time, and when time is up the rest waits for the next sweep, which no longer finds these.
    """
    marked, finished = 0, True
    agents = agent_presence.overdue_in(bucket)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        chunk = list(islice(agents, _CHUNK))
        while chunk:
            outcomes = list(pool.map(lambda agent: _attempt(tools, *agent), chunk))
            marked += outcomes.count(True)
            finished = finished and None not in outcomes
            chunk = list(islice(agents, _CHUNK))
            if chunk and tools.time_is_up():
                return marked, False
    return marked, finished


def _attempt(tools: SweepTools, organization: str, agent: str) -> bool | None:
    """Whether the agent went offline; None where its row was too busy to tell."""
    try:
        return _mark_offline(tools, organization, agent)
    except Contention:
        return None  # One agent's busy row must not keep the others' absence a secret.


def _mark_offline(tools: SweepTools, organization: str, agent: str) -> bool:
    for _ in tools.patience.rounds():
        row = agent_presence.find(organization, agent)
        if row is None or row.status != ONLINE or not _is_overdue(row, tools):
            return False
        transaction = Transaction()
        presence_writes.mark_offline(transaction, row)
        audit_records.put(
            transaction,
            success(
                Origin(
                    organization=organization,
                    actor_type="system",
                    actor_id="presence_sweep",
                    request_id=tools.request_id,
                    source_address=None,
                    now=tools.clock(),
                ),
                AgentOffline(agent_id=agent, last_seen_at=rfc3339(int(row.last_seen))),
                resource=("agent", agent),
                project=row.project,
                environment=row.environment,
            ),
        )
        if transaction.write() is None:
            return True
    return False


def _is_overdue(row: AgentPresenceItem, tools: SweepTools) -> bool:
    # The index may still show the bucket of an earlier beat; the row itself tells.
    bucket = int(str(row.due or "0").split("#", 1)[0])
    return bucket + tools.bucket_seconds <= tools.clock() // 1000
