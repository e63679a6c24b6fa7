"""A look at what the event bus delivers: a rule of its own, and a queue behind it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from infra.target import Target

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient


class EventTap:
    """Collects the events of a stage's bus while it is open.

    Args:
        target: the stage.
        outputs: its stack's.
    """

    def __init__(self, target: Target, outputs: Mapping[str, str]) -> None:
        self._events: EventBridgeClient = target.client("events")
        self._sqs: SQSClient = target.client("sqs")
        self._bus = outputs["EventBusName"]
        self._name = f"tap-{uuid.uuid4().hex[:12]}"
        self._seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._queue = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._events.put_rule(
            Name=self._name,
            EventBusName=self._bus,
            EventPattern=json.dumps({"source": ["rollcall"]}),
        )
        self._events.put_targets(
            Rule=self._name,
            EventBusName=self._bus,
            Targets=[{"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.remove_targets(Rule=self._name, EventBusName=self._bus, Ids=["queue"])
        self._events.delete_rule(Name=self._name, EventBusName=self._bus)
        self._sqs.delete_queue(QueueUrl=self._queue)

    def events(self) -> list[dict[str, Any]]:
        """All events that were delivered so far, as EventBridge wraps them."""
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            messages = answer.get("Messages", [])
            if not messages:
                return self._seen
            self._seen += [json.loads(message["Body"]) for message in messages]
            self._sqs.delete_message_batch(
                QueueUrl=self._queue,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )

    def names(self) -> set[str]:
        """The names of the events that were delivered so far."""
        return {str(event["detail-type"]) for event in self.events()}
