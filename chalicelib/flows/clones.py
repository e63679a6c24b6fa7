"""Two copies of one identity: noticed by the instance that returns after another was heard.

A process that ended does not come back: a restart is a new instance. So one that was heard before
the present one, and is heard again, runs beside it. What only looks so is told apart:

- A lost answer: the repetition comes from the present instance.
- A straggler: a request of the old process that was under way while the next one started. API
  Gateway ends every request after 29 seconds, so for longer than that after an instance was
  followed by another, it is told to wait, whatever it says. It must not become the present one
  either: the process that did follow would then be the one that returns.
- A snapshot of the same host that was restored: it goes on with a sequence that was heard already,
  or after a silence of several intervals, for a while as the only one.

It counts when the instance itself was followed, not when the present one began: of a hundred copies
the present one is never old. For the same reason this is looked at before the rate limit.
"""

from chalicelib.errors import TooMany
from chalicelib.evidence.agent_events import AgentQuarantined
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import presence_verdict
from chalicelib.store import agent_identities, audit_records, instances, presence_changes
from chalicelib.store.agent_presence import ONLINE, AgentPresenceItem
from chalicelib.store.presence_writes import Beat
from chalicelib.store.transaction import Transaction


def is_alive_beside(row: AgentPresenceItem, beat: Beat) -> bool:
    """Whether the beat shows that its instance runs beside the row's present one.

    Raises:
        TooMany: it may be a request from before the next instance started.
    """
    # Whoever is offline was silent for long: the first one that is heard again is the agent.
    again = instances.returned(row, beat.instance) if row.status == ONLINE else None
    if again is None:
        return False
    wait = again.followed_at + instances.STRAGGLERS_END_MS - beat.now
    if wait > 0:
        raise TooMany(
            "Another process of this agent was heard a moment ago.",
            code="heartbeat_too_soon",
            seconds=max(wait, int(row.next_allowed or 0) - beat.now) / 1000,
        )
    silence = beat.now - again.last_seen
    return beat.sequence > again.sequence and silence <= instances.longest_silence(row)


def quarantine(origin: Origin, beat: Beat, row: AgentPresenceItem) -> None:
    """Quarantine the agent; both copies keep their key until an operator decides.

    It returns where nothing was written: the row changed meanwhile, and is worth another look.

    Raises:
        Forbidden: it is quarantined: `agent_quarantined`.
    """
    copies = _copies(beat, row)
    transaction = Transaction()
    presence_changes.quarantine(transaction, row, presence_verdict.BY_COPY)
    agent_identities.note_quarantine(
        transaction,
        origin.organization,
        beat.agent,
        {
            "reason": presence_verdict.BY_COPY,
            "since": rfc3339(origin.now),
            "note": None,
            "copies": copies,
            "was": ONLINE,
        },
    )
    audit_records.put(
        transaction,
        success(
            origin,
            AgentQuarantined(
                agent_id=beat.agent,
                reason=presence_verdict.BY_COPY,
                instances=tuple(str(copy["instance"]) for copy in copies),
            ),
            resource=("agent", beat.agent),
            project=row.project,
            environment=row.environment,
        ),
    )
    if transaction.write() is None:
        raise presence_verdict.quarantined(presence_verdict.BY_COPY)


def _copies(beat: Beat, row: AgentPresenceItem) -> list[dict[str, str | None]]:
    """The present instance and the one that returned, so that an operator can tell them apart."""
    return [
        {
            "instance": instances.fingerprint(str(row.instance)).hex(),
            "first_seen_at": (
                rfc3339(int(row.instance_since)) if row.instance_since is not None else None
            ),
            "last_seen_at": rfc3339(int(row.last_seen or 0)),
            "source_address": row.source_address,
        },
        {
            "instance": instances.fingerprint(beat.instance).hex(),
            "first_seen_at": None,
            "last_seen_at": rfc3339(beat.now),
            "source_address": beat.source_address,
        },
    ]
