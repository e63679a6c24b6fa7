"""The Chalice app: the blueprints, and the functions that events start.

Event functions are declared here and not in a blueprint: from there they would deploy without
loading this module.
"""

from typing import Any

from chalice import Chalice, Rate
from chalice.app import CloudWatchEvent, DynamoDBEvent, S3Event

from chalicelib import settings, workers
from chalicelib.api import agents, artifacts, audit, enrollment, health, jobs

app = Chalice(app_name="rollcall")
for blueprint in (health, enrollment, agents, artifacts, jobs, audit):
    app.register_blueprint(blueprint.api)


@app.on_dynamodb_record(
    stream_arn=settings.load().audit_stream_arn, batch_size=100, starting_position="TRIM_HORIZON"
)
def publish_events(event: DynamoDBEvent) -> None:
    """Publish the audit trail's new records to the event bus."""
    workers.publish(event.to_dict()["Records"])


@app.on_dynamodb_record(
    stream_arn=settings.load().jobs_stream_arn, batch_size=1, starting_position="TRIM_HORIZON"
)
def run_jobs(event: DynamoDBEvent) -> None:
    """Take the next step of the jobs whose rows were written."""
    workers.run_jobs(event.to_dict()["Records"], event.context)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep_presence(event: CloudWatchEvent) -> dict[str, Any]:
    """Mark overdue agents offline."""
    swept = workers.sweep(event.context)
    return {"offline": swept.offline, "buckets": swept.buckets}


@app.on_s3_event(bucket=settings.load().bucket, events=["s3:ObjectCreated:*"], prefix="incoming/")
def verify_upload(event: S3Event) -> list[str]:
    """Give the verdict on an upload."""
    return workers.verify_all(event.to_dict()["Records"], event.context)
