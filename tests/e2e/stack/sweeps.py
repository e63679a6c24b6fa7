"""The sweeps of a stage, and how far they have come."""

from __future__ import annotations

import time

from infra.local_stack import LocalStack

_WATERMARKS = (
    ("agent_presence", "overdue#watermark", "w"),
    ("denials", "due#watermark", "swept_through"),
)


def have_run(stack: LocalStack) -> None:
    """Let the stage be one whose sweeps have been running.

    The first ones of a new stage look back over a day of empty buckets, some thousand requests
    that go on beside the tests.
    """
    width = int(stack.outputs["PresenceBucketSeconds"])
    through = int(time.time()) // width * width - 2 * width
    for table, key, attribute in _WATERMARKS:
        stack.target.client("dynamodb").put_item(
            TableName=stack.outputs["TablePrefix"] + table,
            Item={"pk": {"S": key}, attribute: {"N": str(through)}},
        )
