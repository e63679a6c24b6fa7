"""Requests that DynamoDB refuses: answered in place of the call, so nothing reaches a table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from chalicelib.store.connection import connection


@contextmanager
def refused_requests(wanted: Callable[[int, str], bool]) -> Iterator[list[str]]:
    """Refuse the requests that a condition chooses by their number, from 1, and their body.

    The error is one that nobody repeats by himself. Yields the names of all operations.
    """
    seen: list[str] = []

    def refuse(model: Any, params: Any, **_: Any) -> Any:
        body = params["body"] if isinstance(params["body"], str) else params["body"].decode()
        seen.append(model.name)
        if not wanted(len(seen), body):
            return None
        error = {"Code": "AccessDeniedException", "Message": "the private cause"}
        return AWSResponse("", 400, HTTPHeaders(), None), {"Error": error, "ResponseMetadata": {}}

    events = connection().client.meta.events
    events.register_first("before-call.dynamodb", refuse)
    try:
        yield seen
    finally:
        events.unregister("before-call.dynamodb", refuse)
