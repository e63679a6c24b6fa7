"""What all jobs share: a step is taken, and its outcome written down, which starts the next one.

A kind of job brings its work alone; `workers` has the table of kinds.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.evidence.events import JobFinished
from chalicelib.evidence.record import success
from chalicelib.flows.contention import Patience
from chalicelib.store import audit_records, jobs
from chalicelib.store.jobs import DONE, FAILED, QUEUED, RUNNING, JobItem
from chalicelib.store.transaction import Transaction

if TYPE_CHECKING:
    from chalicelib.store.evidence_bucket import EvidenceBucket
    from chalicelib.store.export_bucket import ExportBucket

_MOST_ATTEMPTS = 20
_PAUSE_SECONDS = 0.5


class StepTools(msgspec.Struct, frozen=True):
    """What a step needs from outside.

    Args:
        patience: how contention is waited out.
        clock: milliseconds since the epoch.
        time_is_up: whether the function must come to an end.
        exports: where files go; made at first use, since most jobs write none.
        batches: the sealed batches; likewise.
    """

    patience: Patience
    clock: Callable[[], int]
    time_is_up: Callable[[], bool]
    exports: "Callable[[], ExportBucket]"
    batches: "Callable[[], EvidenceBucket]"


class Progress(msgspec.Struct, frozen=True):
    """How far a step came.

    Args:
        processed: how many in all, with those of the steps before.
        total: how many there will be, once that is known.
        complete: whether this was the last step.
        error: the code of what stood in the way, for a person to read.
        position: where the next step goes on, for kinds that keep such a thing.
        waits: nothing went wrong and there is more to do, after so many seconds; such a step is no
            attempt. None where coming no further counts as one.
        in_vain: an attempt, whatever the position says.
        ending: adds what changes together with the last step, from the time that it is given;
            it is asked anew where other writers were in the way.
    """

    processed: int
    total: int | None
    complete: bool
    error: str | None = None
    position: dict[str, Any] | None = None
    waits: float | None = None
    ending: Callable[[Transaction, int], None] | None = None
    in_vain: bool = False


Work = Callable[[StepTools, str, JobItem], Progress]


def step(
    kinds: Mapping[str, Work], tools: StepTools, organization: str, job: str, number: int
) -> None:
    """Work on a job until it is done or time is up, then write down how far it came.

    That write appears in the table's stream and starts the next step. A record of a step that
    was overtaken is passed over.

    Raises:
        Unavailable: the outcome could not be written; the stream repeats the record.
        KeyError: a kind that nobody knows (law 7): left as it is, for a person to look at.
    """
    row = jobs.find(organization, job)
    if row is None or row.status not in {QUEUED, RUNNING} or int(row.step) != number:
        return
    progress = kinds[row.kind](tools, organization, row)
    attempts = int(row.attempts)
    if progress.complete:
        status = DONE
    elif progress.waits is not None:
        status = RUNNING
        tools.patience.sleep(progress.waits)
    else:
        # A step that came further than any before is progress, not an attempt.
        attempts = 0 if _came_further(row, progress) else attempts + 1
        status = FAILED if attempts >= _MOST_ATTEMPTS else RUNNING
        if attempts:
            tools.patience.sleep(_PAUSE_SECONDS)
    _write_down(tools, organization, row, progress, status, attempts)


def _came_further(row: JobItem, progress: Progress) -> bool:
    if progress.in_vain:
        return False
    moved = progress.position is not None and progress.position != row.position
    return moved or progress.processed > int(row.processed)


def _write_down(
    tools: StepTools,
    organization: str,
    row: JobItem,
    progress: Progress,
    status: str,
    attempts: int,
) -> None:
    for _ in tools.patience.rounds():
        now = tools.clock()
        transaction = Transaction()
        jobs.advance(
            transaction,
            organization,
            row,
            status=status,
            # What was told before a step died stays true.
            processed=max(progress.processed, int(row.processed)),
            total=progress.total if progress.complete or row.total is None else None,
            attempts=attempts,
            last_error=progress.error,
            position=progress.position,
            now=now,
        )
        if status == DONE and progress.ending is not None:
            progress.ending(transaction, now)
        if status in {DONE, FAILED}:
            audit_records.put(
                transaction,
                success(
                    row.origin(now),
                    JobFinished(
                        job_id=row.job_id,
                        kind=row.kind,
                        status=status,
                        processed=progress.processed,
                    ),
                    resource=("job", row.job_id),
                ),
            )
        cancelled = transaction.write()
        # Whatever else is refused: another writer came between, and the next look sees that.
        if cancelled is None or "job" in cancelled.refused:
            return
