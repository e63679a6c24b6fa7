"""What is in the stage's tables, behind the API's back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Token

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]


class Items:
    """A look into the tables.

    Args:
        stack: whose tables.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._keys: dict[str, frozenset[str]] = {}

    @cached_property
    def client(self) -> DynamoDBClient:
        """A client of the tests' own."""
        environ = self._stack.cloud.environ
        return boto3.client(
            "dynamodb",
            endpoint_url=environ["AWS_ENDPOINT_URL_DYNAMODB"],
            region_name=environ["AWS_REGION"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        )

    def table(self, name: str) -> str:
        """A table's physical name."""
        return self._stack.outputs["TablePrefix"] + name

    def key_of(self, table: str) -> frozenset[str]:
        """The key attributes of a table, by its physical name."""
        if table not in self._keys:
            schema = self.client.describe_table(TableName=table)["Table"]["KeySchema"]
            self._keys[table] = frozenset(part["AttributeName"] for part in schema)
        return self._keys[table]

    def all(self, table: str) -> list[Item]:
        """All rows of a table."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.table(table), ConsistentRead=True
        )
        return [item for page in pages for item in page["Items"]]

    def change(self, table: str, pk: str, attribute: str, value: int) -> None:
        """Give one row a number, as time would have."""
        self.client.update_item(
            TableName=self.table(table),
            Key={"pk": {"S": pk}},
            UpdateExpression="SET #attribute = :value",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": {"N": str(value)}},
        )


def assert_whole(items: Items, token: Token, *, agents: int) -> set[str]:
    """Uses, identities, names, presences, receipts and evidence are those of so many agents.

    Returns:
        The agents.
    """
    tokens = [row for row in items.all("agent_enrollment_tokens") if _is(row, "token", token.id)]
    identities = items.all("agent_identities")
    known = [row["agent_id"]["S"] for row in identities if _is(row, "token", token.id)]
    made = set(known)
    assert len(known) == len(made) == agents
    assert sum(int(row["uses"]["N"]) for row in tokens if "uses" in row) == agents
    assert _agents(tokens, "agent", made) == sorted(made), "receipts"
    names = [row for row in identities if "#name#" in row["pk"]["S"]]
    assert _agents(names, "agent_id", made) == sorted(made), "names"
    presences = [row["pk"]["S"].partition("#")[2] for row in items.all("agent_presence")]
    assert sorted(made & set(presences)) == sorted(made), "presences"
    enrolled = [row for row in items.all("audit_records") if _is(row, "event", "agent.enrolled")]
    assert _agents(enrolled, "resource_id", made) == sorted(made), "evidence"
    return made


def _is(row: Item, attribute: str, value: str) -> bool:
    return attribute in row and row[attribute].get("S") == value


def _agents(rows: list[Item], attribute: str, wanted: set[str]) -> list[str]:
    named = (row[attribute]["S"] for row in rows if attribute in row)
    return sorted(agent for agent in named if agent in wanted)
