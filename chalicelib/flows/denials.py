"""Denied attempts as evidence: a record a minute, and every attempt in some record's count.

An attempt is counted in a row of its actor, route and reason. The first of a minute writes an
audit record of all that are pending and subtracts them, in one transaction: a count is neither
repeated nor lost, wherever a worker dies. What comes later in the minute stays pending, and is
recorded by the next attempt or by the sweep, whichever comes first (docs/decisions/0015).
"""

import hashlib
from collections.abc import Callable

import msgspec

from chalicelib import ids
from chalicelib.errors import Unavailable
from chalicelib.evidence.events import AccessDenied
from chalicelib.evidence.record import Evidence, Origin, refusal
from chalicelib.flows import bucket_sweep
from chalicelib.flows.bucket_sweep import SweepTools, Walked
from chalicelib.flows.contention import Patience
from chalicelib.store import audit_records, denials, sweep_watermark
from chalicelib.store.agent_presence import bucket_of
from chalicelib.store.denials import MINUTE_MS, DenialItem
from chalicelib.store.transaction import Transaction
from chalicelib.telemetry import count, logger


class Denials(msgspec.Struct, frozen=True):
    """Records that authenticated callers were refused.

    Args:
        patience: how contention is waited out.
        bucket_seconds: the width of the buckets in which the sweep looks for pending attempts.
    """

    patience: Patience
    bucket_seconds: int

    def record(self, origin: Origin, route: str, reason: str) -> None:
        """Count a denied attempt, and write this minute's record if there is none.

        An outage changes nothing for the caller: the attempt had no effect that could be without
        evidence (law 6), and the refusal is the closed answer already (law 7); 503 in its place
        would invite the same attempt again. What could not be counted is said in the log and in a
        metric. An attempt that was counted is not lost when its record fails: it stays pending.

        Args:
            origin: an authenticated actor, and where the attempt came from.
            route: method and path as in the table of routes, without the caller's identifiers.
            reason: the code of the error that the caller is told.
        """
        try:
            row = self._counted(origin, route, reason)
            _write(self.patience, row, origin.now, self.bucket_seconds)
        except Unavailable as error:
            count("DenialNotRecorded")
            logger.error(
                "denial not recorded",
                organization=origin.organization,
                actor=f"{origin.actor_type}:{origin.actor_id}",
                route=route,
                reason=reason,
                request_id=origin.request_id,
                cause=error.cause,
            )

    def _counted(self, origin: Origin, route: str, reason: str) -> DenialItem:
        bucket = bucket_of(origin.now, self.bucket_seconds)
        for _ in self.patience.rounds():
            row = denials.add(origin, route, reason, bucket=bucket)
            if row is not None:
                return row
        raise AssertionError("unreachable: patience raises")


def _write(patience: Patience, row: DenialItem, now: int, bucket_seconds: int) -> bool:
    """Write a record of a row's pending attempts; False where this minute has one.

    Raises:
        Contention: the row is busy; what is pending stays so.
        Unavailable: the database did not answer.
    """
    minute = now - now % MINUTE_MS
    more_wait_in: int | None = None
    for _ in patience.rounds():
        if row.recorded_in(minute) or not row.pending:
            return False
        transaction = Transaction()
        denials.settle(transaction, row, minute=minute, more_wait_in=more_wait_in)
        audit_records.put(transaction, _evidence(row, minute))
        cancelled = transaction.write()
        if cancelled is None:
            return True
        now_there = DenialItem.from_item(cancelled.item("denial"))
        if now_there is not None:
            # Others were denied meanwhile: this record counts them too. In a flood there would
            # always be others, so those that come from now on are left for the next record.
            row, more_wait_in = now_there, bucket_of(now, bucket_seconds)
        elif cancelled.refused:
            return False
    raise AssertionError("unreachable: patience raises")


def _evidence(row: DenialItem, minute: int) -> Evidence:
    """The record of a minute. Its resource is the route; the actor stands where actors stand."""
    origin, route, reason = row.origin(minute), str(row.route), str(row.reason)
    evidence = refusal(
        origin,
        AccessDenied(route=route, reason=reason, count=int(row.pending)),
        reason,
        resource=("route", route),
    )
    # Of each actor one, where other refusals have one of each resource.
    seed = "\n".join((row.pk, str(minute)))
    identifier = ids.derived(ids.AUDIT_RECORD, hashlib.sha256(seed.encode()).digest())
    return msgspec.structs.replace(evidence, id=identifier)


def sweep(tools: SweepTools) -> Walked:
    """Record what is still pending of the bursts that ended: all closed buckets of the index.

    Raises:
        Unavailable: the database did not answer; the next sweep goes on from the watermark.
    """
    return bucket_sweep.walk(tools, sweep_watermark.DENIALS, denials.due_in, _recorder(tools))


def _recorder(tools: SweepTools) -> Callable[[str], bool | None]:
    def record(pk: str) -> bool | None:
        row = denials.find(pk)
        # The index may still show a bucket that the row has left; the row itself tells.
        if row is None or row.due_bucket is None or not tools.is_closed(row.due_bucket):
            return False
        if not row.pending:
            # None: some came at this very moment, and the row stays where it is.
            return False if denials.forget_due(row) else None
        # None: buckets narrower than a minute, whose record another one has; to be looked at again.
        return _write(tools.patience, row, tools.clock(), tools.bucket_seconds) or None

    return record
