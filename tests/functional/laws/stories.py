"""What the laws' tests do again and again, and how they look behind the API."""

import secrets
from functools import cache
from typing import Any

import boto3
from pynamodb.expressions.update import Action

from chalicelib import settings
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from tests.functional.api import Answer, Api, Host, Tenant
from tests.functional.canaries import MARK

TABLES = (
    "organizations",
    "agent_enrollment_tokens",
    "agent_identities",
    "agent_presence",
    "agent_device_certificates",
    "agent_revocations",
    "artifacts",
    "jobs",
    "audit_records",
    "denials",
)
ARTIFACT = {
    "kind": "incident_bundle",
    "filename": "bundle.zip",
    "size": 3,
    "sha256": "ab" * 32,
    "content_type": "application/zip",
}


def idempotency_key() -> str:
    """As our agent makes it."""
    return f"{MARK}-{secrets.token_urlsafe(32)}"


def host_of(api: Api, answer: Answer) -> Host:
    """The host that got this answer to its exchange."""
    assert answer.status in {200, 201}, answer.body
    return Host(api, answer.body["agent_id"], answer.body["runtime_key"], answer.body)


def uses_of(tenant: Tenant, minted: dict[str, Any]) -> int:
    """How many uses of a token are gone."""
    row = token_row(tenant, minted)
    row.refresh(consistent_read=True)
    return int(row.uses)


def token_row(tenant: Tenant, minted: dict[str, Any]) -> EnrollmentTokenItem:
    """A token's row."""
    pk = f"{tenant.organization}#{minted['enrollment_token_id']}"
    return EnrollmentTokenItem.get(pk, consistent_read=True)


def presence_of(tenant: Tenant, agent_id: str) -> AgentPresenceItem:
    """An agent's presence row."""
    return AgentPresenceItem.get(f"{tenant.organization}#{agent_id}", consistent_read=True)


def set_presence(tenant: Tenant, agent_id: str, *actions: Action) -> None:
    """Change a presence row behind the API's back."""
    AgentPresenceItem(f"{tenant.organization}#{agent_id}").update(actions=list(actions))


@cache
def _beside() -> Any:
    """A client of the tests' own, whose requests nobody counts or disturbs."""
    return boto3.client("dynamodb")


def rows_of(tenant: Tenant, table: str) -> list[dict[str, Any]]:
    """All rows of a tenant in a table, raw."""
    pages = (
        _beside()
        .get_paginator("scan")
        .paginate(
            TableName=settings.load().table_prefix + table,
            FilterExpression="begins_with(#key, :organization)",
            ExpressionAttributeNames={"#key": "organization" if table == "organizations" else "pk"},
            ExpressionAttributeValues={":organization": {"S": tenant.organization}},
            ConsistentRead=True,
        )
    )
    return [item for page in pages for item in page["Items"]]


def agents_of(tenant: Tenant) -> list[str]:
    """The agents that a tenant has, whatever an index says."""
    rows = rows_of(tenant, "agent_identities")
    return sorted(row["agent_id"]["S"] for row in rows if "status" in row)


def names_of(tenant: Tenant) -> list[str]:
    """The names that are reserved in a tenant."""
    rows = [row for row in rows_of(tenant, "agent_identities") if "revoked_at" not in row]
    return sorted(row["pk"]["S"].split("#name#")[1] for row in rows if "#name#" in row["pk"]["S"])


def refusals_of(tenant: Tenant, resource_id: str) -> list[str]:
    """The reasons of the refusals on record for a resource, in order of their keys."""
    rows = sorted(rows_of(tenant, "audit_records"), key=lambda row: row["sort"]["S"])
    return [
        row["reason"]["S"]
        for row in rows
        if row["resource_id"]["S"] == resource_id and row["outcome"]["S"] == "refused"
    ]


def assert_our_fault(answer: Answer, code: str) -> None:
    """What is our fault is said so, with when to come back."""
    assert (answer.status, answer.code) == (503, code), answer.body
    assert int(answer.headers["Retry-After"]) >= 1
