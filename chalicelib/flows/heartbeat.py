"""The heartbeat: one request when steady, one more when the agent's status changes."""

import msgspec

from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.errors import Conflict, DomainError, TooMany, Unauthenticated
from chalicelib.evidence.events import AgentOnline, AgentRestarted, Detail, HeartbeatRefused
from chalicelib.evidence.record import Origin, refusal, success
from chalicelib.fields import AssetId, CollectorId, Nonce, Sequence, ShortText
from chalicelib.flows import presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.environment_control import Controls
from chalicelib.flows.refusals import RefusalLog
from chalicelib.store import agent_presence, audit_records, presence_writes
from chalicelib.store.agent_presence import ONLINE, AgentPresenceItem, due_key
from chalicelib.store.presence_writes import Accepted, Beat, NotAccepted
from chalicelib.store.transaction import Transaction

SCOPE = "agent:heartbeat"
MISSED_BEATS = 3
"""An agent is overdue when it has not been heard for this many intervals."""
_SHORTEST_PART = 4
"""Beats may come at most this many times as often as the interval asks."""


class HeartbeatRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent says with each beat.

    `sequence` grows by each beat of a process, `nonce` is new for each beat (a repetition after a
    lost answer has both as before), `instance` is random for each start of the process.
    """

    sequence: Sequence
    nonce: Nonce
    instance: Nonce
    agent_version: ShortText | None = None
    unpersisted: bool = False
    collector_id: CollectorId | None = None
    asset_id: AssetId | None = None


class Heard(msgspec.Struct, frozen=True):
    """An accepted beat. Intervals are in seconds."""

    heartbeat_interval: int
    minimum_interval: float


class HeartbeatTools(msgspec.Struct, frozen=True):
    """What the flow needs from outside."""

    controls: Controls
    refusals: RefusalLog
    patience: Patience
    bucket_seconds: int


def hear(
    tools: HeartbeatTools, origin: Origin, claims: RuntimeClaims, request: HeartbeatRequest
) -> Heard:
    """Accept a beat or say why not.

    Raises:
        DomainError: as law 2 orders the reasons: 404, 401 key, 401 revoked, 403 quarantined,
            403 scope, 409 sequence, 429 too soon. A refusal leaves one audit record a minute.
    """
    interval = tools.controls.of(
        origin.organization, claims.environment, origin.now
    ).heartbeat_interval
    beat = _beat(tools, origin, claims, request, interval)
    try:
        _bound_to_the_key(claims, request, beat)
        _write(tools, origin, beat)
    except DomainError as error:
        if error.status < 500:  # noqa: PLR2004 - ours are no refusals
            _record_refusal(tools.refusals, origin, claims, error)
        raise
    return Heard(interval, interval / _SHORTEST_PART)


def _beat(
    tools: HeartbeatTools,
    origin: Origin,
    claims: RuntimeClaims,
    request: HeartbeatRequest,
    interval: int,
) -> Beat:
    overdue_at = origin.now + MISSED_BEATS * interval * 1000
    return Beat(
        organization=origin.organization,
        agent=claims.agent,
        key=claims.digest,
        scope=SCOPE,
        sequence=request.sequence,
        nonce=request.nonce,
        instance=request.instance,
        version=request.agent_version or "",
        unpersisted=request.unpersisted,
        now=origin.now,
        next_allowed=origin.now + interval * 1000 // _SHORTEST_PART,
        due=due_key(claims.agent, overdue_at, tools.bucket_seconds),
    )


def _bound_to_the_key(claims: RuntimeClaims, request: HeartbeatRequest, beat: Beat) -> None:
    collector = request.collector_id in (None, claims.collector)
    asset = request.asset_id in (None, claims.asset)
    if collector and asset:
        return
    # The row's own reasons come first, for a wrong collector as for a right one.
    _allowed(agent_presence.find(beat.organization, beat.agent), beat)
    if not collector:
        raise Unauthenticated(
            "The runtime key belongs to another collector.", code="key_wrong_collector"
        )
    raise Unauthenticated("The runtime key belongs to another asset.", code="key_wrong_asset")


def _write(tools: HeartbeatTools, origin: Origin, beat: Beat) -> None:
    for _ in tools.patience.rounds():
        outcome = presence_writes.beat(beat)
        if isinstance(outcome, Accepted):
            return
        if isinstance(outcome, NotAccepted):
            row = _allowed(outcome.row, beat)
            if row.status == ONLINE and row.instance == beat.instance:
                raise _out_of_turn(row, beat)
            if _resumed(origin, beat, row):
                return


def _allowed(row: AgentPresenceItem | None, beat: Beat) -> AgentPresenceItem:
    reason = presence_verdict.refusal(row, beat.key, beat.scope)
    if reason is not None or row is None:
        raise reason or AssertionError("a missing row has a reason")
    return row


def _resumed(origin: Origin, beat: Beat, row: AgentPresenceItem) -> bool:
    """The slow path; False where the row changed meanwhile and is worth another look."""
    if row.instance == beat.instance and not _newer(row, beat):
        raise _out_of_turn(row, beat)
    if row.next_allowed is not None and row.next_allowed > beat.now:
        # Also for a new process: else a change of instance would be a way round the limit, and
        # every one costs a transaction and a record.
        raise _too_soon(row, beat)
    detail: Detail = (
        AgentRestarted(agent_id=beat.agent)
        if row.status == ONLINE
        else AgentOnline(agent_id=beat.agent, previous=row.status)
    )
    transaction = Transaction()
    presence_writes.resume(transaction, beat, row)
    audit_records.put(
        transaction,
        success(
            origin,
            detail,
            resource=("agent", beat.agent),
            project=row.project,
            environment=row.environment,
        ),
    )
    return transaction.write() is None


def _newer(row: AgentPresenceItem, beat: Beat) -> bool:
    return (
        row.sequence is None
        or row.sequence < beat.sequence
        or (row.sequence == beat.sequence and row.nonce == beat.nonce)
    )


def _out_of_turn(row: AgentPresenceItem, beat: Beat) -> DomainError:
    if not _newer(row, beat):
        return Conflict(
            "A later heartbeat of this process was accepted already.",
            code="sequence_stale",
            extra={"last_sequence": int(row.sequence)},
        )
    return _too_soon(row, beat)


def _too_soon(row: AgentPresenceItem, beat: Beat) -> DomainError:
    wait = max(0, int(row.next_allowed or 0) - beat.now) / 1000
    return TooMany("Heartbeats come too fast.", code="heartbeat_too_soon", seconds=wait)


def _record_refusal(
    refusals: RefusalLog, origin: Origin, claims: RuntimeClaims, error: DomainError
) -> None:
    refusals.record(
        refusal(
            origin,
            HeartbeatRefused(agent_id=claims.agent, reason=error.code),
            error.code,
            resource=("agent", claims.agent),
            environment=claims.environment,
        )
    )
