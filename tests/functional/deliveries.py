"""The events that Lambda hands to the functions, and its event source mappings' patience."""

import random
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.emulator.stream_poller import _event_record

Record = dict[str, Any]


class Context:
    """What a function is told about its invocation."""

    aws_request_id = "request-of-lambda"

    def get_remaining_time_in_millis(self) -> int:
        """Plenty."""
        return 60_000


def shaped(records: Sequence[Record], arn: str) -> list[Record]:
    """Records of a stream as a function gets them."""
    return [_event_record(record, arn) for record in records]


def invoke(function: str, event: Record) -> Any:
    """Give an event to one of the app's functions, as Lambda does."""
    import app

    return getattr(app, function)(event, Context())


@dataclass
class Mapping:
    """An event source mapping: a batch comes again, whole and in order, until it succeeds.

    Args:
        function: the app's function.
        size: of a batch.
        most: attempts with one batch before the test gives up.
    """

    function: str
    size: int
    most: int = 50
    failures: list[Exception] = field(default_factory=list)

    def deliver(self, records: Sequence[Record], recovers: Any = None) -> None:
        """Deliver records; after each failure `recovers` may make the world well again."""
        for start in range(0, len(records), self.size):
            self._batch(list(records[start : start + self.size]), recovers)

    def _batch(self, batch: list[Record], recovers: Any) -> None:
        for _ in range(self.most):
            try:
                invoke(self.function, {"Records": batch})
            except Exception as error:  # noqa: BLE001 - to Lambda all are alike
                self.failures.append(error)
                if recovers is not None:
                    recovers()
            else:
                return
        raise AssertionError(f"this batch blocks for good: {batch}") from self.failures[-1]


def disturbed(
    records: Sequence[Record], poison: Sequence[Record], chance: random.Random
) -> list[Record]:
    """Records each once to three times, in any order, with poison among them."""
    dealt = [record for record in records for _ in range(chance.randint(1, 3))]
    dealt += list(poison)
    chance.shuffle(dealt)
    return dealt


def notification(*keys: str, encoded: bool = True, name: str = "ObjectCreated:Post") -> Record:
    """S3's notification of objects; keys are URL-encoded as S3 does it."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": "2026-05-28T20:26:40.000Z",
                "eventName": name,
                "userIdentity": {"principalId": "AWS:EXAMPLE"},
                "requestParameters": {"sourceIPAddress": "192.0.2.7"},
                "responseElements": {"x-amz-request-id": "EXAMPLE"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "rollcall",
                    "bucket": {"name": "b", "arn": "arn:aws:s3:::b"},
                    "object": {
                        "key": urllib.parse.quote_plus(key, safe="/") if encoded else key,
                        "size": 1,
                        "eTag": "0",
                        "sequencer": "0",
                    },
                },
            }
            for key in keys
        ]
    }
