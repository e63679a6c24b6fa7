"""The export of audit records as files of JSON lines, with the batches that seal them."""

from itertools import islice
from typing import Any

import msgspec

from chalicelib import ids
from chalicelib.errors import DomainError, NotFound
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AuditExportRequested
from chalicelib.evidence.record import Origin, success
from chalicelib.evidence.record_form import export_line
from chalicelib.flows import audit_trail, sealed_range
from chalicelib.flows.audit_trail import AuditQuery
from chalicelib.flows.contention import Patience
from chalicelib.flows.job_steps import Progress, StepTools
from chalicelib.store import audit_records, jobs, seals
from chalicelib.store.export_bucket import KEPT_MS, ExportBucket, ExportFile
from chalicelib.store.jobs import DONE, EXPORT_AUDIT_RECORDS, JobItem
from chalicelib.store.paging import Span
from chalicelib.store.transaction import Transaction

MANIFEST = "manifest.json"
MOST_RECORDS_A_FILE = 20_000
MOST_FILES = 1_000
"""The files are listed in the job's row, which DynamoDB keeps below 400 KB."""
_URL_SECONDS = 300
_AT_ONCE = 500  # records between two looks at the clock


class Position(msgspec.Struct, frozen=True):
    """How far an export is.

    Args:
        files: those that are complete.
        after: the record after which the next file begins.
        batch: the number of the sealed batch that is next, once all records are there.
        last_batch: that of the last one there was at that time.
        manifest: once all is there.
    """

    files: list[ExportFile] = []
    after: str | None = None
    batch: int | None = None
    last_batch: int = 0
    manifest: ExportFile | None = None

    @property
    def records(self) -> int:
        """How many records the files hold."""
        return sum(file.records or 0 for file in self.files)


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
        Contention: to be repeated.
    """
    job = ids.new(ids.JOB)
    until = min(query.until, origin.now)
    resource_type, resource_id = query.resource or (None, None)
    for _ in patience.rounds():
        transaction = Transaction()
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
        if cancelled is None or not cancelled.contended:
            break
    return _find(origin.organization, job)


def get(bucket: ExportBucket, organization: str, job: str, now: int) -> Export:
    """An export of the organization, with fresh addresses of its files.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    row = _find(organization, job)
    expires_at = int(row.created_at) + KEPT_MS
    position = _position(row)
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


def work(tools: StepTools, organization: str, row: JobItem) -> Progress:
    """Write the next file: first of records, then of the batches that seal them, then the manifest.

    The row remembers the files that are complete, so a step that was killed writes its own file
    again and no other.
    """
    position = _position(row)
    try:
        if len(position.files) >= MOST_FILES:
            return _so_far(position, "export_too_large")
        if position.batch is None:
            position, more = _with_next_records(tools, organization, row, position)
            if more:
                return _so_far(position)
            position = _at_first_batch(tools, organization, row, position)
        position, more = _with_next_batches(tools, organization, row, position)
        if more:
            return _so_far(position)
        content = canonical(_manifest(organization, row, position)) + b"\n"
        manifest = tools.exports().put(organization, row.job_id, MANIFEST, content)
    except DomainError as error:
        return _so_far(position, error.code)
    ended = msgspec.structs.replace(position, manifest=manifest)
    return Progress(
        position.records, position.records, complete=True, position=msgspec.to_builtins(ended)
    )


def _so_far(position: Position, error: str | None = None) -> Progress:
    return Progress(
        position.records, None, complete=False, error=error, position=msgspec.to_builtins(position)
    )


def _with_next_records(
    tools: StepTools, organization: str, row: JobItem, position: Position
) -> tuple[Position, bool]:
    """The position after the next file, and whether there may be more."""
    rows = audit_trail.rows(
        organization, _query(row), Span(position.after, MOST_RECORDS_A_FILE, newest_first=False)
    )
    lines: list[str] = []
    after = position.after
    more = True
    while more and len(lines) < MOST_RECORDS_A_FILE:
        chunk = list(islice(rows, min(_AT_ONCE, MOST_RECORDS_A_FILE - len(lines))))
        lines += (export_line(record) + "\n" for record in chunk)
        after = str(chunk[-1].sort) if chunk else after
        more = bool(chunk)
        if tools.time_is_up():
            break
    if not lines:
        return position, more
    name = f"records-{len(position.files) + 1:06}.jsonl"
    content = "".join(lines).encode("ascii")
    file = tools.exports().put(organization, row.job_id, name, content, len(lines))
    return Position([*position.files, file], after), more


def _at_first_batch(
    tools: StepTools, organization: str, row: JobItem, position: Position
) -> Position:
    head = seals.head(organization)
    last = head.number if head is not None else 0
    first = sealed_range.first_number(tools.batches(), organization, last, _query(row).since)
    return msgspec.structs.replace(position, batch=first, last_batch=last)


def _with_next_batches(
    tools: StepTools, organization: str, row: JobItem, position: Position
) -> tuple[Position, bool]:
    """The position after the next file of sealed batches, and whether there may be more."""
    if position.batch is None or position.batch > position.last_batch:
        return position, False
    found = sealed_range.lines(
        tools.batches(),
        organization,
        position.batch,
        position.last_batch,
        _query(row).until,
        tools.time_is_up,
    )
    files = position.files
    if found.lines:
        written = sum(file.records is None for file in files)
        name = f"batches-{written + 1:06}.jsonl"
        content = b"".join(line + b"\n" for line in found.lines)
        files = [*files, tools.exports().put(organization, row.job_id, name, content)]
    batch = position.last_batch + 1 if found.next is None else found.next
    return msgspec.structs.replace(position, files=files, batch=batch), found.next is not None


def _query(row: JobItem) -> AuditQuery:
    wish = row.wish or {}
    resource = wish["resource"]
    return AuditQuery(
        since=int(wish["since"]),
        until=int(wish["until"]),
        resource=(resource[0], resource[1]) if resource is not None else None,
        newest_first=False,
    )


def _position(row: JobItem) -> Position:
    return msgspec.convert(row.position or {}, Position)


def _manifest(organization: str, row: JobItem, position: Position) -> dict[str, Any]:
    query = _query(row)
    resource_type, resource_id = query.resource or (None, None)
    return {
        "organization": organization,
        "job_id": row.job_id,
        "since": rfc3339(query.since),
        "until": rfc3339(query.until),
        "resource_type": resource_type,
        "resource_id": resource_id,
        "records": position.records,
        "files": msgspec.to_builtins(position.files),
    }
