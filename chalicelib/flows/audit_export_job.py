"""The job that writes an export: files of records, of the batches that seal them, a manifest."""

from itertools import islice
from typing import Any

import msgspec

from chalicelib.errors import DomainError
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record_form import export_line
from chalicelib.flows import audit_trail, sealed_range
from chalicelib.flows.audit_export import Position, position_of
from chalicelib.flows.audit_trail import AuditQuery
from chalicelib.flows.job_steps import Progress, StepTools
from chalicelib.flows.sealed_range import Head
from chalicelib.store import seals
from chalicelib.store.jobs import JobItem
from chalicelib.store.paging import Span

MANIFEST = "manifest.json"
MOST_RECORDS_A_FILE = 20_000
MOST_FILES = 1_000
"""The files are listed in the job's row, which DynamoDB keeps below 400 KB."""
_AT_ONCE = 500  # records between two looks at the clock


def work(tools: StepTools, organization: str, row: JobItem) -> Progress:
    """Write the next file: first of records, then of the batches that seal them, then the manifest.

    The row remembers the files that are complete, so a step that was killed writes its own file
    again and no other.
    """
    position = position_of(row)
    try:
        if position.fetched_at is None:
            position = _begun(tools, organization)
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


def _begun(tools: StepTools, organization: str) -> Position:
    """The position before the first file.

    The head is read before any record: so every record that the batches up to there seal is there
    to be read. One that is written and sealed meanwhile may be missed by an export of many steps,
    and its batch is left out, too.
    """
    fetched_at = tools.clock()
    head = seals.head(organization)
    known = None if head is None else Head(head.number, head.digest.hex())
    return Position(fetched_at=fetched_at, head=known)


def _with_next_records(
    tools: StepTools, organization: str, row: JobItem, position: Position
) -> tuple[Position, bool]:
    """The position after the next file, and whether there may be more."""
    span = Span(position.after, MOST_RECORDS_A_FILE, newest_first=False)
    # Read strongly: a record that a batch seals and that is not here is one that was removed.
    rows = audit_trail.rows(organization, _query(row), span, consistent=True)
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
    return msgspec.structs.replace(position, files=[*position.files, file], after=after), more


def _at_first_batch(
    tools: StepTools, organization: str, row: JobItem, position: Position
) -> Position:
    first = sealed_range.first_number(
        tools.batches(), organization, position.last_batch, _query(row).since
    )
    # The last one is always there: whoever verifies can tell then that no other was cut off.
    return msgspec.structs.replace(position, batch=max(1, min(first, position.last_batch)))


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
        before = sum(file.records is None for file in files)
        name = f"batches-{before + 1:06}.jsonl"
        content = b"".join(line + b"\n" for line in found.lines)
        files = [*files, tools.exports().put(organization, row.job_id, name, content)]
    batch = position.last_batch + 1 if found.next is None else found.next
    written = found.last or position.written
    # Where the chain goes on after the range, the export ends before the head.
    end = written if found.range_over else position.head
    ended = msgspec.structs.replace(position, files=files, batch=batch, written=written, head=end)
    return ended, found.next is not None


def _query(row: JobItem) -> AuditQuery:
    wish = row.wish or {}
    resource = wish["resource"]
    return AuditQuery(
        since=int(wish["since"]),
        until=int(wish["until"]),
        resource=(resource[0], resource[1]) if resource is not None else None,
        newest_first=False,
    )


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
        "fetched_at": None if position.fetched_at is None else rfc3339(position.fetched_at),
        "head": msgspec.to_builtins(position.head),
        "records": position.records,
        "files": msgspec.to_builtins(position.files),
    }
