"""Law 6 on the deployed stage: EventBridge away for a while, or for longer than the stream."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from infra.children import run_child
from infra.console import Say
from infra.deploy import ROOT
from infra.emulator.http_server import Answer
from infra.event_tap import EventTap
from infra.local_stack import LocalStack
from infra.stream_mappings import OLDEST_SECONDS
from tests.e2e.stack.aws_requests import AwsRequest, watching
from tests.e2e.stack.calls import Calls, until

_TYPE = [("Content-Type", "application/x-amz-json-1.1")]
_ENOUGH = 4


class Outage:
    """EventBridge answers an error to all, or takes all for ever and delivers nothing.

    Args:
        status: of the error; 200 where it only looks as if it worked.
        code: of the error.
    """

    def __init__(self, status: int, code: str = "") -> None:
        self._answer = (status, code)
        self._guard = threading.Lock()
        self.over = False
        self.refused: list[str] = []

    def __call__(self, request: AwsRequest) -> Answer | None:
        """Look at one request."""
        if self.over or request.operation != "PutEvents":
            return None
        entries = json.loads(request.body)["Entries"]
        with self._guard:
            self.refused += [json.loads(entry["Detail"])["id"] for entry in entries]
        status, code = self._answer
        body: dict[str, Any] = {"__type": code, "message": "for a while"}
        if status == 200:
            body = {"FailedEntryCount": 0, "Entries": [{"EventId": "lost"} for _ in entries]}
        return status, _TYPE, json.dumps(body).encode()


@contextmanager
def outage(stack: LocalStack, status: int, code: str = "") -> Iterator[Outage]:
    """EventBridge is away until the block ends, or `over` is set."""
    away = Outage(status, code)
    with watching(stack.cloud, away):
        yield away


def of_token(tap: EventTap, token: str) -> list[dict[str, Any]]:
    """The events about a token, as they came."""
    return [
        event["detail"]
        for event in tap.events()
        if event["detail"]["resource"]["id"] == token
        and event["detail"]["event"] == "agent.enrollment_token.issued"
    ]


def evidence_of(calls: Calls, token: str) -> set[str]:
    """The identifiers of a token's audit records."""
    path = f"/audit-records?resource_type=enrollment_token&resource_id={token}"
    return {record["id"] for record in calls.operator("GET", path).json()["audit_records"]}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalFailure"),
        (400, "ThrottlingException"),
        (400, "AccessDeniedException"),
        (400, "ResourceNotFoundException"),
    ],
)
def test_what_happens_while_eventbridge_is_away_is_published_when_it_is_back(
    stack: LocalStack, calls: Calls, tap: EventTap, status: int, code: str
) -> None:
    with outage(stack, status, code) as away:
        tokens = [calls.mint().id for _ in range(3)]
        until(lambda: len(away.refused) >= _ENOUGH, "the batch came again")
        assert not [token for token in tokens if of_token(tap, token)]
        away.over = True
        tokens.append(calls.mint().id)
        for token in tokens:
            (identifier,) = evidence_of(calls, token)
            found = until(partial(of_token, tap, token), f"the event of {token}")
            assert {detail["id"] for detail in found} == {identifier}


def test_republish_covers_what_the_stream_has_forgotten(
    stack: LocalStack, calls: Calls, tap: EventTap
) -> None:
    # Taken by the bus and delivered to nobody: for the stream that is over and done with.
    with outage(stack, 200) as away:
        tokens = [calls.mint().id for _ in range(12)]
        wanted = {one for token in tokens for one in evidence_of(calls, token)}
        until(lambda: wanted <= set(away.refused), "the stream has nothing left")
    stack.cloud.wait_idle()
    assert not [token for token in tokens if of_token(tap, token)]
    said: list[str] = []
    republish(stack, said.append, "--since", "10m", "--dry-run")
    assert not [token for token in tokens if of_token(tap, token)]
    for times in (1, 2):
        republish(stack, said.append, "--since", "10m", "--organization", stack.organization)
        published = [detail for token in tokens for detail in of_token(tap, token)]
        assert {detail["id"] for detail in published} == wanted
        assert len(published) == times * len(wanted)
    assert any("would be published" in line for line in said), said


def republish(stack: LocalStack, say: Say, *arguments: str) -> None:
    """Run the command as an operator does, and expect it to succeed."""
    run_child(
        [sys.executable, "-m", "infra", "republish", "--stage", stack.target.stage, *arguments],
        cwd=ROOT,
        environ=stack.target.child_environ(),
        say=say,
        what="republish",
    )


@pytest.mark.parametrize(
    ("function", "stream"),
    [
        ("publish_events", "AuditRecordsStreamArn"),
        ("seal_evidence", "AuditRecordsStreamArn"),
        ("run_jobs", "JobsStreamArn"),
    ],
)
def test_a_batch_that_can_never_be_worked_is_given_up_for_the_dead_letter_queue(
    stack: LocalStack, function: str, stream: str
) -> None:
    client = stack.target.client("lambda")
    found = client.list_event_source_mappings(EventSourceArn=stack.outputs[stream])
    (mapping,) = [
        one for one in found["EventSourceMappings"] if one["FunctionArn"].endswith(function)
    ]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == -1
    assert mapping["MaximumRecordAgeInSeconds"] == OLDEST_SECONDS[function]
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == stack.outputs["DeadLetterQueueArn"]
