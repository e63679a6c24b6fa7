"""Audit records of any time, written as the store writes them, and rows that are none."""

import boto3

from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentRestarted
from chalicelib.evidence.record import Origin, success
from chalicelib.store import audit_records
from chalicelib.store.transaction import Transaction
from tests.functional.api import Tenant


def written(tenant: Tenant, times: list[int]) -> list[str]:
    """Records of these times; their identifiers."""
    made = []
    for chunk in (times[first : first + 50] for first in range(0, len(times), 50)):
        transaction = Transaction()
        for moment in chunk:
            origin = Origin(tenant.organization, "system", "test", "r-1", None, moment)
            evidence = success(
                origin, AgentRestarted(agent_id="agt_1"), resource=("agent", "agt_1")
            )
            audit_records.put(transaction, evidence)
            made.append(evidence.id)
        assert transaction.write() is None
    return made


def garbage(tenant: Tenant, moment: int) -> None:
    """A row among the others that no event can be made of."""
    date = rfc3339(moment)[:10]
    boto3.client("dynamodb").put_item(
        TableName="rollcall-functional-audit_records",
        Item={
            "pk": {"S": f"{tenant.organization}#{date}#0"},
            "sort": {"S": f"{moment:015d}#garbage"},
            "event": {"N": "7"},
        },
    )
