"""What AWS refuses for some seconds after a role or a permission was made, each once.

IAM tells the other services within seconds, and moto at once. The messages are AWS's own.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from urllib.parse import parse_qs

from infra.emulator.http_server import Answer
from infra.emulator.wire import Head

MAPPING, NOTIFICATION = "CreateEventSourceMapping", "PutBucketNotificationConfiguration"
Refusal = Callable[[], Answer]
_MAPPINGS = "/2015-03-31/event-source-mappings"


class Settling:
    """An interceptor of requests to AWS.

    Attributes:
        refused: the operations that were refused, in order.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._guard = threading.Lock()

    def intercept(self, head: Head, path: str, query: str, body: bytes) -> Answer | None:
        """Refuse the first request of each kind; let everything else pass."""
        if head.method == "POST" and path.rstrip("/") == _MAPPINGS:
            return self._once(MAPPING, lambda: _mapping(body))
        if head.method == "PUT" and "notification" in parse_qs(query, keep_blank_values=True):
            return self._once(NOTIFICATION, _notification)
        return None

    def _once(self, operation: str, answer: Refusal) -> Answer | None:
        with self._guard:
            if operation in self.refused:
                return None
            self.refused.append(operation)
        return answer()


def _mapping(body: bytes) -> Answer:
    arn = json.loads(body)["EventSourceArn"]
    message = (
        f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords, "
        "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
    )
    kind = "InvalidParameterValueException"
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)]
    return 400, headers, json.dumps({"Type": "User", "message": message}).encode()


def _notification() -> Answer:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidArgument</Code><Message>'
        "Unable to validate the following destination configurations</Message></Error>"
    )
    return 400, [("Content-Type", "application/xml")], text.encode()
