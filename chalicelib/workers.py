"""What the event functions do: the delegates that `app.py` declares."""

import datetime
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from chalicelib import runtime
from chalicelib.errors import DomainError
from chalicelib.evidence.publisher import Poison, Published
from chalicelib.flows import cascade, denials, job_steps, presence_sweep, verify_upload
from chalicelib.flows.bucket_sweep import SweepTools
from chalicelib.flows.job_steps import Progress, StepTools, Work
from chalicelib.store import audit_records, jobs
from chalicelib.store.jobs import JobItem
from chalicelib.telemetry import logger

_MARGIN_MS = 15_000


def publish(records: Iterable[dict[str, Any]]) -> Published:
    """Publish what was appended to the audit trail.

    Raises:
        NotPublishedError: the stream must deliver the batch again.
    """
    published = runtime.current().publisher.publish(_audit_records(records))
    logger.info("published", events=published.events, poison=published.poison)
    return published


def _audit_records(
    records: Iterable[dict[str, Any]],
) -> Iterator[audit_records.AuditRecordItem | Poison]:
    for record in records:
        if record.get("eventName") != "INSERT":
            continue
        try:
            yield audit_records.from_stream(record["dynamodb"]["NewImage"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not block the shard
            yield Poison(record, f"{type(error).__name__}: {error}")


def _export(tools: StepTools, organization: str, row: JobItem) -> Progress:
    from chalicelib.flows import audit_export_job  # noqa: PLC0415

    return audit_export_job.work(tools, organization, row)


def _delete(tools: StepTools, organization: str, row: JobItem) -> Progress:
    from chalicelib.flows import deletion_job  # noqa: PLC0415

    return deletion_job.work(tools, organization, row)


# Every kind of job and its work. What most functions never run is imported at first use.
_KINDS: dict[str, Work] = {
    jobs.REVOKE_AGENTS_OF_TOKEN: cascade.work,
    jobs.EXPORT_AUDIT_RECORDS: _export,
    jobs.DELETE_ENVIRONMENT: _delete,
    jobs.DELETE_PROJECT: _delete,
    jobs.DELETE_ORGANIZATION: _delete,
}


def run_jobs(records: Iterable[dict[str, Any]], context: Any) -> None:  # noqa: ANN401
    """Take one step of every job whose row was written."""
    now = runtime.current()
    for record in records:
        if record.get("eventName") == "REMOVE":
            continue
        try:
            written = jobs.from_stream((record.get("dynamodb") or {}).get("NewImage"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not block the shard
            now.publisher.dead_letter(Poison(record, f"{type(error).__name__}: {error}"))
            continue
        tools = StepTools(
            patience=now.patience,
            clock=now.clock,
            time_is_up=time_is_up(context),
            exports=lambda: now.exports,
            batches=lambda: now.evidence_bucket,
        )
        try:
            job_steps.step(_KINDS, tools, written.organization, written.job, written.step)
        except DomainError:
            raise  # Ours, for a moment: the stream delivers the record again.
        except Exception as error:  # noqa: BLE001 - a defect must not block every tenant's jobs
            logger.exception("job step failed", job=written.job)
            now.publisher.dead_letter(Poison(record, f"{type(error).__name__}: {error}"))


def sweep(context: Any) -> presence_sweep.Swept:  # noqa: ANN401
    """Mark the agents that are overdue offline, and record the denied attempts that wait."""
    now = runtime.current()
    tools = SweepTools(
        patience=now.patience,
        clock=now.clock,
        time_is_up=time_is_up(context),
        bucket_seconds=now.settings.presence_bucket_seconds,
        request_id=str(getattr(context, "aws_request_id", "")),
    )
    swept = presence_sweep.sweep(tools)
    logger.info("swept", offline=swept.offline, buckets=swept.buckets, through=swept.through)
    recorded = denials.sweep(tools)
    logger.info("recorded denials", records=recorded.worked, through=recorded.through)
    return swept


def verify(key: str, context: Any) -> str:  # noqa: ANN401
    """Give the verdict on an upload; the key comes URL-encoded, as S3 sends it."""
    now = runtime.current()
    verdict = verify_upload.verify(
        verify_upload.VerifyTools(
            bucket=now.copying_bucket,
            patience=now.patience,
            clock=now.clock,
            request_id=str(getattr(context, "aws_request_id", "")),
            kept_stored=datetime.timedelta(days=now.settings.artifact_retention_days),
        ),
        urllib.parse.unquote_plus(key),
    )
    logger.info("verified", verdict=verdict)
    return verdict


def verify_all(records: Iterable[dict[str, Any]], context: Any) -> list[str]:  # noqa: ANN401
    """Give the verdicts on the uploads that one notification tells of.

    S3 sends one record in each; nothing that it promises says so. One that fails does not keep
    the others from their verdict.

    Raises:
        Exception: what one failed with, or a group of several. S3's notification is repeated,
            which changes nothing where a verdict was given.
    """
    verdicts: list[str] = []
    failed: list[Exception] = []
    for record in records:
        try:
            verdicts.append(verify(record["s3"]["object"]["key"], context))
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise ExceptionGroup("some uploads have no verdict", failed)
    return verdicts


def time_is_up(context: Any) -> Any:  # noqa: ANN401
    """Whether the function should come to an end, as a callable."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return lambda: remaining is not None and remaining() < _MARGIN_MS
