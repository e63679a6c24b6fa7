"""The Chalice app: its routes, and the functions that events start.

Each function imports what it does when it is called: they share this module, and none has to wait
for what only another needs.
"""

import sys
from pathlib import Path
from typing import Any

from chalice import Chalice, Rate
from chalice.app import CloudWatchEvent, DynamoDBEvent, S3Event

from chalicelib import settings
from chalicelib.api import views

if settings.is_chalice_command() and Path(__file__).with_name("infra").is_dir():
    # `chalice …` in the checkout, and not in the project that `make deploy` makes of it.
    from infra import chalice_commands

    chalice_commands.answer(sys.argv[1:])

sources = settings.sources()
app = Chalice(app_name="rollcall")
views.register(app)


@app.on_dynamodb_record(
    stream_arn=sources.audit_stream_arn, batch_size=100, starting_position="TRIM_HORIZON"
)
def publish_events(event: DynamoDBEvent) -> None:
    """Publish the audit trail's new records to the event bus."""
    from chalicelib import workers  # noqa: PLC0415

    workers.publish(event.to_dict()["Records"])


@app.on_dynamodb_record(
    stream_arn=sources.audit_stream_arn,
    batch_size=1000,
    starting_position="TRIM_HORIZON",
    maximum_batching_window_in_seconds=60,
)
def seal_evidence(event: DynamoDBEvent) -> None:
    """Seal the audit trail's new records, and notice what was done to old ones."""
    from chalicelib import sealing  # noqa: PLC0415

    sealing.seal(event.to_dict()["Records"], event.context)


@app.on_dynamodb_record(
    stream_arn=sources.jobs_stream_arn, batch_size=1, starting_position="TRIM_HORIZON"
)
def run_jobs(event: DynamoDBEvent) -> None:
    """Take the next step of the jobs whose rows were written."""
    from chalicelib import workers  # noqa: PLC0415

    workers.run_jobs(event.to_dict()["Records"], event.context)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep_presence(event: CloudWatchEvent) -> dict[str, Any]:
    """Mark overdue agents offline."""
    from chalicelib import workers  # noqa: PLC0415

    swept = workers.sweep(event.context)
    return {"offline": swept.offline, "buckets": swept.buckets}


@app.on_s3_event(bucket=sources.bucket, events=["s3:ObjectCreated:*"], prefix="incoming/")
def verify_upload(event: S3Event) -> list[str]:
    """Give the verdict on an upload."""
    from chalicelib import workers  # noqa: PLC0415

    return workers.verify_all(event.to_dict()["Records"], event.context)
