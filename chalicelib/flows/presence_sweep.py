"""The presence sweep: finds overdue agents in closed buckets of the index, and never scans."""

import msgspec

from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentOffline
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import bucket_sweep
from chalicelib.flows.bucket_sweep import SweepTools
from chalicelib.store import agent_presence, audit_records, presence_writes, sweep_watermark
from chalicelib.store.agent_presence import ONLINE, AgentPresenceItem
from chalicelib.store.transaction import Transaction


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did; `through` is the newest bucket that it finished."""

    offline: int
    buckets: int
    through: int | None


def sweep(tools: SweepTools) -> Swept:
    """Mark the agents of all closed buckets offline, unless they beat since.

    Raises:
        Unavailable: the database did not answer; the next sweep goes on from the watermark.
    """
    walked = bucket_sweep.walk(
        tools,
        sweep_watermark.OVERDUE,
        agent_presence.overdue_in,
        lambda agent: _mark_offline(tools, *agent),
    )
    return Swept(walked.worked, walked.buckets, walked.through)


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
    return tools.is_closed(int(str(row.due or "0").split("#", 1)[0]))
