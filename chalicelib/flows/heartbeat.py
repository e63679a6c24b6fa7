"""The heartbeat: one request when steady, one more when the agent's status changes."""

import msgspec

from chalicelib.credentials.runtime_key import HEARTBEAT, RuntimeClaims
from chalicelib.errors import Conflict, DomainError, TooMany, Unauthenticated
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentOnline, AgentRestarted, Detail, HeartbeatRefused
from chalicelib.evidence.record import Origin, refusal, success
from chalicelib.fields import AssetId, CollectorId, Nonce, Sequence, Sha256, ShortText
from chalicelib.flows import presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.environment_control import Controls
from chalicelib.flows.refusals import RefusalLog
from chalicelib.store import agent_presence, audit_records, presence_writes
from chalicelib.store.agent_presence import ONLINE, AgentPresenceItem, due_key
from chalicelib.store.presence_writes import Accepted, Beat, NotAccepted
from chalicelib.store.transaction import Transaction

MISSED_BEATS = 3
"""An agent is overdue when it has not been heard for this many intervals."""
_SHORTEST_PART = 4
"""Beats may come at most this many times as often as the interval asks."""
_MOST_BYTES = 128


class HeartbeatRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent says with each beat.

    `sequence` grows by each beat of a process, `nonce` is new for each beat (a repetition after a
    lost answer has both as before), `instance` is random for each start of the process, `facts` is
    the SHA-256 of what the host has to say about itself.
    """

    sequence: Sequence
    nonce: Nonce
    instance: Nonce
    agent_version: ShortText | None = None
    unpersisted: bool = False
    facts: Sha256 | None = None
    collector_id: CollectorId | None = None
    asset_id: AssetId | None = None


class News(msgspec.Struct, frozen=True):
    """What an agent is told with the answer to its beat."""

    facts_wanted: bool = False
    rotate_key: bool = False


_NO_NEWS = News()


class Heard(msgspec.Struct, frozen=True):
    """An accepted beat. Intervals are in seconds.

    `slowed_down` says that the environment's agents beat more rarely than usual, `agent_version`
    which version the agent is to have.
    """

    heartbeat_interval: int
    minimum_interval: float
    slowed_down: bool
    agent_version: str | None
    news: News


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
    control = tools.controls.of(origin.organization, claims.environment, origin.now)
    beat = _beat(tools, origin, claims, request, control.interval)
    try:
        _bound_to_the_key(claims, request, beat)
        news = _write(tools, origin, beat)
    except DomainError as error:
        if error.code == "agent_quarantined":
            # Its key must not end before the quarantine does: by this it knows when to rotate it.
            error.extra |= _times_of_the_key(origin, claims)
        if error.status < 500:  # noqa: PLR2004 - ours are no refusals
            _record_refusal(tools.refusals, origin, claims, error)
        raise
    return Heard(
        heartbeat_interval=control.interval,
        minimum_interval=control.interval / _SHORTEST_PART,
        slowed_down=control.interval > control.heartbeat_interval,
        agent_version=control.version_for(claims.agent),
        news=news,
    )


def _times_of_the_key(origin: Origin, claims: RuntimeClaims) -> dict[str, str]:
    return {
        "runtime_key_issued_at": rfc3339(claims.issued_at),
        "runtime_key_expires_at": rfc3339(claims.expires_at),
        "server_time": rfc3339(origin.now),
    }


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
        scope=HEARTBEAT,
        sequence=request.sequence,
        nonce=request.nonce,
        instance=request.instance,
        version=_in_few_bytes(request.agent_version or ""),
        unpersisted=request.unpersisted,
        facts=bytes.fromhex(request.facts) if request.facts is not None else None,
        source_address=origin.source_address,
        now=origin.now,
        next_allowed=origin.now + interval * 1000 // _SHORTEST_PART,
        due=due_key(claims.agent, overdue_at, tools.bucket_seconds),
    )


def _in_few_bytes(version: str) -> str:
    # 128 characters may be 512 bytes, and the row is to stay below one write unit.
    return version if version.isascii() else version.encode()[:_MOST_BYTES].decode(errors="ignore")


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


def _write(tools: HeartbeatTools, origin: Origin, beat: Beat) -> News:
    for _ in tools.patience.rounds():
        outcome = presence_writes.beat(beat)
        if isinstance(outcome, Accepted):
            return _NO_NEWS
        if isinstance(outcome, NotAccepted):
            news = _after_a_look(origin, beat, _allowed(outcome.row, beat))
            if news is not None:
                return news
    raise AssertionError("unreachable: patience raises")


def _after_a_look(origin: Origin, beat: Beat, row: AgentPresenceItem) -> News | None:
    """What is told once the row is known; None where it changed and is worth another look."""
    if presence_writes.repeats(beat, row):
        return _repeated(beat, row)
    if row.status != ONLINE or row.instance != beat.instance:
        return _news(beat, row) if _resumed(origin, beat, row) else None
    if not _newer(row, beat) or int(row.next_allowed or 0) > beat.now:
        raise _out_of_turn(row, beat)
    # An operator's wish ends where the new key is used, and not where it is given out: that answer
    # may be lost.
    ends_wish = bool(row.rotation_requested) and presence_writes.promotes(beat, row)
    outcome = presence_writes.beat(beat, with_news=True, ends_wish=ends_wish)
    if isinstance(outcome, NotAccepted):
        # The SDK repeats a request whose answer was lost: then the row has this beat already.
        row = _allowed(outcome.row, beat)
        return _repeated(beat, row) if presence_writes.repeats(beat, row) else None
    return _news(beat, row) if isinstance(outcome, Accepted) else None


def _repeated(beat: Beat, row: AgentPresenceItem) -> News | None:
    """A beat that was accepted is answered so again, and moves nothing.

    Else the repetition would be a way round the limit: it would keep the agent online, or bring
    it back, as often as it is sent. An answer to a key says that the key is the agent's, so a
    pending one that is shown for the first time is promoted here as by any beat.
    """
    if presence_writes.promotes(beat, row) and not presence_writes.promote(beat, row):
        return None
    return _news(beat, row)


def _news(beat: Beat, row: AgentPresenceItem) -> News:
    return News(
        facts_wanted=beat.facts not in (None, row.facts),
        rotate_key=bool(row.rotation_requested) and not presence_writes.promotes(beat, row),
    )


def _allowed(row: AgentPresenceItem | None, beat: Beat) -> AgentPresenceItem:
    reason = presence_verdict.refusal(row, beat.key, beat.scope, copy=beat.instance)
    if reason is not None or row is None:
        raise reason or AssertionError("a missing row has a reason")
    return row


def _resumed(origin: Origin, beat: Beat, row: AgentPresenceItem) -> bool:
    from chalicelib.flows import clones  # noqa: PLC0415 - a steady beat does without

    presence_verdict.refuse_what_is_to_split(row, beat.instance)
    if row.instance == beat.instance and not _newer(row, beat):
        raise _out_of_turn(row, beat)
    if clones.is_alive_beside(row, beat):
        clones.quarantine(origin, beat, row)
        return False
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
    return row.sequence is None or row.sequence < beat.sequence


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


def told_interval(row: AgentPresenceItem) -> int:
    """The interval, in milliseconds, that an agent was told with its last accepted beat."""
    return _SHORTEST_PART * (int(row.next_allowed or 0) - int(row.last_seen or 0))


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
