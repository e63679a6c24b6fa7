"""Law 6: what no event can be made of goes to the dead-letter queue and blocks nothing."""

from __future__ import annotations

import json
import secrets
from typing import Any

from infra.event_tap import EventTap
from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, until

GARBAGE: tuple[dict[str, Any], ...] = (
    {"event": {"S": "no such event"}},
    {"event": {"N": "7"}, "detail": {"L": []}},
    {"detail": {"S": "{broken"}, "id": {"NULL": True}},
    {"blob": {"B": b"\xff\x00"}, "set": {"NS": ["1", "2"]}},
    {"note": {"S": "x" * 300_000}},
)


def dead_letters(stack: LocalStack, word: str) -> list[dict[str, Any]]:
    """The letters with a word in them; each once, though two functions read the audit stream."""
    sqs = stack.target.client("sqs")
    url = stack.outputs["DeadLetterQueueUrl"]
    seen: list[Any] = []
    # Ten at a time, out of sight of one another until all were looked at.
    while found := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30
    ).get("Messages", []):
        seen += found
    for message in seen:
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    bodies = {message["Body"] for message in seen}
    return [json.loads(body) for body in bodies if word in body]


def test_garbage_in_the_audit_stream_is_put_aside_and_later_events_flow(
    stack: LocalStack, calls: Calls, tap: EventTap
) -> None:
    mark = f"poison-{secrets.token_hex(8)}"
    table = f"{stack.outputs['TablePrefix']}audit_records"
    for number, garbage in enumerate(GARBAGE):
        stack.target.client("dynamodb").put_item(
            TableName=table,
            Item={"pk": {"S": mark}, "sort": {"S": str(number)}, **garbage},
        )
    token = calls.mint()
    until(
        lambda: token.id in {e["detail"]["detail"].get("token_id") for e in tap.events()},
        "the event after the poison was published",
    )
    letters = until(
        lambda: found if len(found := dead_letters(stack, mark)) == len(GARBAGE) else None,
        "every piece of garbage is in the dead-letter queue",
    )
    assert all(letter["error"] for letter in letters)
    assert not [event for event in tap.events() if mark in json.dumps(event)]


def test_a_record_that_names_another_tenant_is_put_aside(
    stack: LocalStack, calls: Calls, tap: EventTap
) -> None:
    token = calls.mint()
    database = stack.target.client("dynamodb")
    table = f"{stack.outputs['TablePrefix']}audit_records"
    rows = database.query(
        TableName=table,
        IndexName="by_resource",
        KeyConditionExpression="resource_key = :key",
        ExpressionAttributeValues={
            ":key": {"S": f"{stack.organization}#enrollment_token#{token.id}"}
        },
    )["Items"]
    mark = f"poison-{secrets.token_hex(8)}"
    # A whole record of ours, but below a key that is not its organization's.
    database.put_item(TableName=table, Item={**rows[0], "pk": {"S": mark}})
    (letter,) = until(lambda: dead_letters(stack, mark), "the record is in the dead-letter queue")
    assert "another organization" in letter["error"]
    found = [e for e in tap.events() if e["detail"]["id"] == rows[0]["id"]["S"]]
    assert len(found) == 1


def test_garbage_in_the_jobs_stream_is_put_aside_and_later_jobs_run(
    stack: LocalStack, calls: Calls
) -> None:
    mark = f"poison-{secrets.token_hex(8)}"
    stack.target.client("dynamodb").put_item(
        TableName=f"{stack.outputs['TablePrefix']}jobs", Item={"pk": {"S": mark}}
    )
    token = calls.mint()
    calls.enroll(token)
    answer = calls.operator(
        "POST", f"/agent-enrollment/tokens/{token.id}/revoke", {"cascade": True}
    )
    path = f"/jobs/{answer.json()['job']['job_id']}"
    until(lambda: calls.operator("GET", path).json()["status"] == "done", "the job ran")
    assert until(lambda: dead_letters(stack, mark), "the garbage is in the dead-letter queue")
