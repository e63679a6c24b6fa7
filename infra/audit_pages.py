"""The audit trail as the operator's tools read it: raw rows, page by page, in order of time.

The store reads for one organization that a caller was authenticated for. Here somebody with AWS
credentials of their own reads for all, and a row that cannot be understood must not end it.
"""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.store.audit_records import DAY_MS
from chalicelib.store.paging import HIGHEST, SHARDS, shard_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Row = Mapping[str, Any]
_PAGE = 100
_ORGANIZATION = "organization"


def organizations(client: DynamoDBClient, prefix: str, after: str | None = None) -> Iterator[str]:
    """Every organization of the stage, in an order that is always the same.

    The table holds a few rows for each tenant and none for an agent, so scanning it is bounded by
    tenants. A page is read when the one before has been worked.

    Args:
        client: of DynamoDB.
        prefix: of the stage's tables.
        after: begin after this one.
    """
    request: dict[str, Any] = {
        "TableName": f"{prefix}organizations",
        "FilterExpression": "#item = :organization",
        "ProjectionExpression": "organization",
        "ExpressionAttributeNames": {"#item": "item"},
        "ExpressionAttributeValues": {":organization": {"S": _ORGANIZATION}},
        "Limit": _PAGE,
        "ConsistentRead": True,
    }
    if after is not None:
        request["ExclusiveStartKey"] = {"organization": {"S": after}, "item": {"S": _ORGANIZATION}}
    for row in _pages(client.scan, request):
        yield row["organization"]["S"]


def records(
    client: DynamoDBClient,
    prefix: str,
    organization: str,
    *,
    since: int,
    until: int,
    after: str | None = None,
) -> Iterator[Row]:
    """An organization's rows of a time range, oldest first.

    Args:
        client: of DynamoDB.
        prefix: of the stage's tables.
        organization: whose.
        since: milliseconds, inclusive.
        until: milliseconds, inclusive.
        after: begin after the row with this sort key.
    """
    for day in range(since // DAY_MS, until // DAY_MS + 1):
        low = max(f"{max(since, day * DAY_MS):015d}", after or "")
        high = f"{min(until, (day + 1) * DAY_MS - 1):015d}{HIGHEST}"
        if low > high:
            continue
        date = datetime.datetime.fromtimestamp(day * DAY_MS / 1000, tz=datetime.UTC).date()
        shards = (
            _shard(
                client,
                f"{prefix}audit_records",
                shard_key(organization, date.isoformat(), shard=number),
                low,
                high,
            )
            for number in range(SHARDS)
        )
        for row in heapq.merge(*shards, key=sort_of):
            if sort_of(row) != after:
                yield row


def sort_of(row: Row) -> str:
    """The row's place in its organization's trail."""
    return str(row["sort"]["S"])


def _shard(client: DynamoDBClient, table: str, hash_key: str, low: str, high: str) -> Iterator[Row]:
    bounds = {":pk": {"S": hash_key}, ":low": {"S": low}, ":high": {"S": high}}
    return _pages(
        client.query,
        {
            "TableName": table,
            "KeyConditionExpression": "pk = :pk AND #sort BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#sort": "sort"},
            "ExpressionAttributeValues": bounds,
            "ConsistentRead": True,
            "Limit": _PAGE,
        },
    )


def _pages(operation: Callable[..., Any], request: dict[str, Any]) -> Iterator[Row]:
    while True:
        answer = operation(**request)
        yield from answer["Items"]
        if not answer.get("LastEvaluatedKey"):
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
