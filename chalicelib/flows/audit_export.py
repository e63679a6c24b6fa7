"""Exports of audit records: asked for, and shown with fresh addresses of their files."""

import msgspec

from chalicelib import ids
from chalicelib.errors import NotFound, TooMany
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AuditExportRequested
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.audit_trail import AuditQuery
from chalicelib.flows.contention import Patience
from chalicelib.flows.sealed_range import Head
from chalicelib.store import audit_records, export_places, jobs
from chalicelib.store.export_bucket import KEPT_MS, ExportBucket, ExportFile
from chalicelib.store.jobs import DONE, EXPORT_AUDIT_RECORDS, JobItem
from chalicelib.store.transaction import Transaction

MOST_AT_ONCE = 3
"""Exports of one organization: all jobs share the shards of one stream."""
_URL_SECONDS = 300
_AGAIN_SECONDS = 30


class Position(msgspec.Struct, frozen=True):
    """How far an export is.

    Args:
        files: those that are complete.
        fetched_at: when the export began to read.
        head: the last sealed batch that there was at that time; once the batches are there, the
            last one of the range.
        after: the record after which the next file begins.
        batch: the number of the sealed batch that is next, once all records are there.
        written: the last batch in the files.
        manifest: once all is there.
    """

    files: list[ExportFile] = []
    fetched_at: int | None = None
    head: Head | None = None
    after: str | None = None
    batch: int | None = None
    written: Head | None = None
    manifest: ExportFile | None = None

    @property
    def records(self) -> int:
        """How many records the files hold."""
        return sum(file.records or 0 for file in self.files)

    @property
    def last_batch(self) -> int:
        """The number of the last batch that may be in the files."""
        return 0 if self.head is None else self.head.number


class Download(msgspec.Struct, frozen=True):
    """A file of an export, and where to get it."""

    file: ExportFile
    url: str


class Export(msgspec.Struct, frozen=True):
    """An export and its files; none before it is done, and none after they are gone."""

    job: JobItem
    files: list[Download]
    manifest: Download | None
    expires_at: int


def request(patience: Patience, origin: Origin, query: AuditQuery) -> JobItem:
    """Start the export of a time range, of all resources or of one.

    What is recorded from now on is left out, however late the range ends: an export that is
    repeated step by step must not see more each time.

    Raises:
        TooMany: as many are under way as there may be.
        Contention: to be repeated.
    """
    job = ids.new(ids.JOB)
    until = min(query.until, origin.now)
    resource_type, resource_id = query.resource or (None, None)
    for _ in patience.rounds():
        places = export_places.read(origin.organization, origin.now)
        if len(places.jobs - {job}) >= MOST_AT_ONCE:
            raise _too_many()
        transaction = Transaction()
        export_places.take(transaction, origin.organization, places, job, origin.now)
        jobs.start(
            transaction,
            origin.organization,
            job,
            kind=EXPORT_AUDIT_RECORDS,
            target=origin.organization,
            note=None,
            origin=origin,
            wish={"since": query.since, "until": until, "resource": query.resource},
        )
        audit_records.put(
            transaction,
            success(
                origin,
                AuditExportRequested(
                    job_id=job,
                    since=rfc3339(query.since),
                    until=rfc3339(until),
                    resource_type=resource_type,
                    resource_id=resource_id,
                ),
                resource=("job", job),
            ),
        )
        cancelled = transaction.write()
        # Refused: the SDK sent it again after a lost answer, and the row in the way is ours.
        if cancelled is None or "job" in cancelled.refused:
            break
    return _find(origin.organization, job)


def _too_many() -> TooMany:
    return TooMany(
        f"{MOST_AT_ONCE} exports are under way. Ask again when one of them has ended.",
        code="too_many_exports",
        seconds=_AGAIN_SECONDS,
    )


def get(bucket: ExportBucket, organization: str, job: str, now: int) -> Export:
    """An export of the organization, with fresh addresses of its files.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    row = _find(organization, job)
    expires_at = int(row.created_at) + KEPT_MS
    position = position_of(row)
    if row.status != DONE or position.manifest is None or now >= expires_at:
        return Export(row, [], None, expires_at)

    def download(file: ExportFile) -> Download:
        url = bucket.download_url(organization, job, file.name, seconds=_URL_SECONDS)
        return Download(file, url)

    files = [download(file) for file in position.files]
    return Export(row, files, download(position.manifest), expires_at)


def _find(organization: str, job: str) -> JobItem:
    row = jobs.find(organization, job) if ids.is_a(ids.JOB, job) else None
    if row is None or row.kind != EXPORT_AUDIT_RECORDS:
        raise NotFound("There is no such export.", code="job_not_found")
    return row


def position_of(row: JobItem) -> Position:
    """How far an export's job is."""
    return msgspec.convert(row.position or {}, Position)
