"""One DynamoDB client for all tables, and one place that tells its failures apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.connection import Connection
from pynamodb.exceptions import PynamoDBException

from chalicelib.errors import Unavailable

CONDITION_FAILED = "ConditionalCheckFailedException"
CONFLICT = "TransactionConflictException"
CANCELLED = "TransactionCanceledException"
IN_PROGRESS = "TransactionInProgressException"


@cache
def connection() -> Connection:
    """The process's connection.

    pynamodb would make a client for each model; a cold start pays for every one of them, and for
    every TLS handshake. Short time-outs leave room for two retries, and for an answer of our own,
    before the function's own time is over.
    """
    return Connection(
        connect_timeout_seconds=1,
        read_timeout_seconds=3,
        retry_configuration={"total_max_attempts": 3, "mode": "standard"},
    )


def response_code(error: Exception) -> str | None:
    """DynamoDB's error code, through pynamodb's wrapping or without it; None if it sent none.

    pynamodb's own `cause_response_code` fails on a read time-out, which has a `response` of None.
    """
    cause = error.cause if isinstance(error, PynamoDBException) else error
    if isinstance(cause, ClientError):
        return cause.response.get("Error", {}).get("Code")
    return None


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what DynamoDB could not do into 503: it is our fault, and a retry is right.

    Raises:
        Unavailable: throttled, timed out, unreachable, or misconfigured.
    """
    try:
        yield
    except PynamoDBException as error:
        code = response_code(error) or type(error.cause or error).__name__
        raise _unavailable(code) from error
    except (ClientError, BotoCoreError) as error:
        raise _unavailable(response_code(error) or type(error).__name__) from error


def _unavailable(cause: str) -> Unavailable:
    return Unavailable(
        "The database did not answer in time.", code="store_unavailable", cause=cause
    )


def update_item(**operation: Any) -> None:  # noqa: ANN401 - pynamodb's own keywords
    """One `UpdateItem` that tells what stood in its way.

    Raises:
        ClientError: pynamodb's verbose one; on a failed condition its cause carries the item.
    """
    shared = connection()
    arguments = shared.get_operation_kwargs(
        return_values_on_condition_failure="ALL_OLD", **operation
    )
    shared.dispatch("UpdateItem", arguments)
