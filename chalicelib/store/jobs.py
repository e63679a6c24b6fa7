"""Bulk changes that outlive a request. Each write of a row is what drives its next step."""

import datetime
from typing import Any

import msgspec
from pynamodb.attributes import JSONAttribute, NumberAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action

from chalicelib.evidence.record import Origin
from chalicelib.store.connection import CONDITION_FAILED, CONFLICT, guarded, response_code
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

REVOKE_AGENTS_OF_TOKEN = "revoke_agents_of_token"  # noqa: S105 - a kind of job
EXPORT_AUDIT_RECORDS = "export_audit_records"
DELETE_ENVIRONMENT = "delete_environment"
DELETE_PROJECT = "delete_project"
DELETE_ORGANIZATION = "delete_organization"
QUEUED = "queued"
RUNNING = "running"
DONE = "done"
FAILED = "failed"
STALLED_MS = 15 * 60_000
KEPT = datetime.timedelta(days=90)


class JobItem(Table):
    """A row of `jobs`. `wish` and `position` are its kind's own: what to do, and how far it is."""

    class Meta:
        table_name = StageTable("jobs")

    pk = UnicodeAttribute(hash_key=True)
    job_id = UnicodeAttribute()
    kind = UnicodeAttribute()
    status = UnicodeAttribute()
    target = UnicodeAttribute()
    project = UnicodeAttribute(null=True)
    environment = UnicodeAttribute(null=True)
    note = UnicodeAttribute(null=True)
    actor_type = UnicodeAttribute()
    actor_id = UnicodeAttribute()
    request_id = UnicodeAttribute()
    source_address = UnicodeAttribute(null=True)
    credential = UnicodeAttribute(null=True)
    processed = NumberAttribute(default=0)
    total = NumberAttribute(null=True)
    step = NumberAttribute(default=0)
    wish: JSONAttribute = JSONAttribute(null=True)
    position: JSONAttribute = JSONAttribute(null=True)
    attempts = NumberAttribute(default=0)
    last_error = UnicodeAttribute(null=True)
    created_at = NumberAttribute()
    updated_at = NumberAttribute()
    ttl = TTLAttribute()

    def origin(self, now: int) -> Origin:
        """In whose name the job acts, at a time."""
        return Origin(
            organization=self.pk.split("#", 1)[0],
            actor_type=self.actor_type,
            actor_id=self.actor_id,
            request_id=self.request_id,
            source_address=self.source_address,
            now=now,
            credential=self.credential,
        )


def job_row(organization: str, job: str) -> Key:
    """Where a job lives."""
    return JobItem, f"{organization}#{job}", None


def find(organization: str, job: str) -> JobItem | None:
    """A job, as it is now."""
    return JobItem.read(f"{organization}#{job}")


def may_start_again(row: JobItem, now: int) -> bool:
    """Whether asking again starts the job anew: it failed, or nothing drives it any more.

    A step takes five minutes at the most, so one that was not heard of for longer has lost the
    stream's record that would have started the next.
    """
    stalled = row.status != DONE and int(row.updated_at) < now - STALLED_MS
    return row.status == FAILED or stalled


def start(
    transaction: Transaction,
    organization: str,
    job: str,
    *,
    kind: str,
    target: str,
    note: str | None,
    origin: Origin,
    project: str | None = None,
    environment: str | None = None,
    wish: Any = None,  # noqa: ANN401 - JSON of the kind's own
) -> None:
    """Add a job (part `job`); refused where it exists, unless it failed or stands still."""
    moment = datetime.datetime.fromtimestamp(origin.now // 1000, tz=datetime.UTC)
    transaction.put(
        "job",
        JobItem(
            f"{organization}#{job}",
            job_id=job,
            kind=kind,
            status=QUEUED,
            target=target,
            project=project,
            environment=environment,
            wish=wish,
            note=note,
            actor_type=origin.actor_type,
            actor_id=origin.actor_id,
            request_id=origin.request_id,
            source_address=origin.source_address,
            credential=origin.credential,
            created_at=origin.now,
            updated_at=origin.now,
            ttl=moment + KEPT,
        ),
        JobItem.pk.does_not_exist()
        | (JobItem.status == FAILED)
        | ((JobItem.status != DONE) & (JobItem.updated_at < origin.now - STALLED_MS)),
    )


def advance(
    transaction: Transaction,
    organization: str,
    row: JobItem,
    *,
    status: str,
    processed: int,
    total: int | None,
    attempts: int,
    last_error: str | None,
    position: dict[str, Any] | None = None,
    now: int,
) -> None:
    """Add a step's outcome (part `job`), on condition that no other step was taken meanwhile.

    The write appears in the table's stream, and that record starts the next step: an unfinished
    job always has a record that was not worked yet.
    """
    item = JobItem
    actions: list[Action] = [
        item.status.set(status),
        item.processed.set(processed),
        item.attempts.set(attempts),
        item.step.set(int(row.step) + 1),
        item.updated_at.set(now),
    ]
    if total is not None:
        actions.append(item.total.set(total))
    if position is not None:
        actions.append(item.position.set(position))
    actions.append(
        item.last_error.set(last_error) if last_error is not None else item.last_error.remove()
    )
    transaction.update("job", item(f"{organization}#{row.job_id}"), actions, item.step == row.step)


def tell(organization: str, row: JobItem, *, processed: int, total: int, now: int) -> None:
    """Write down how far the present step has come, for those who watch the job.

    The step's number stays, so the record of this write in the stream is one of a step that was
    overtaken; should the step have died, it starts the step again. Nothing is written where
    another step was taken meanwhile, or where more was told before.

    Raises:
        Unavailable: the database did not answer.
    """
    item = JobItem
    with guarded():
        try:
            item(f"{organization}#{row.job_id}").update(
                actions=[
                    item.status.set(RUNNING),
                    item.processed.set(processed),
                    item.total.set(total),
                    item.updated_at.set(now),
                ],
                condition=(item.step == row.step)
                & item.status.is_in(QUEUED, RUNNING)
                & (item.processed < processed),
            )
        except UpdateError as error:
            if response_code(error) not in {CONDITION_FAILED, CONFLICT}:
                raise


class Written(msgspec.Struct, frozen=True):
    """Which job a record of the table's stream is about, and at which step it was written."""

    organization: str
    job: str
    step: int


def from_stream(image: Any) -> Written:  # noqa: ANN401 - it may be anything
    """What a stream record's new image says.

    Raises:
        ValueError, KeyError, TypeError: the image is not a job.
    """
    row = JobItem.from_raw_data(image)
    organization, _, job = row.pk.partition("#")
    if not organization or job != row.job_id:
        raise ValueError("the key does not name a job")
    return Written(organization, job, int(row.step))
