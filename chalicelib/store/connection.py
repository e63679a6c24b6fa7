"""One DynamoDB client for all tables, and one place that tells its failures apart."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from botocore.config import Config
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
    made = Connection(
        connect_timeout_seconds=1,
        read_timeout_seconds=1,
        retry_configuration={"total_max_attempts": 3, "mode": "standard"},
    )
    with _no_collection():
        # pynamodb makes its client at first use, which is now.
        made.client.meta  # noqa: B018
        # It and all that is imported stay for the process's life: no later look for garbage
        # has to walk through them.
        gc.freeze()
    return made


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


def update_item(**request: Any) -> None:  # noqa: ANN401 - DynamoDB's own names
    """One `UpdateItem` that tells what stood in its way.

    Raises:
        ClientError: on a failed condition its response carries the item.
    """
    client: Any = connection().client
    client.update_item(ReturnValuesOnConditionCheckFailure="ALL_OLD", **request)


def service_client(service: str, config: Config) -> Any:  # noqa: ANN401 - made at run time
    """A client of another service.

    It is of the session that the tables' client has: what that has read of botocore's data is
    not read again. boto3 would read it all anew, and a cold start pay for it.
    """
    with _no_collection():
        return connection().session.create_client(service, config=config)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Do not look for garbage meanwhile.

    A client is made of some 100,000 objects of botocore's data, all of which stay: walking
    through them again and again was a tenth of a cold start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
