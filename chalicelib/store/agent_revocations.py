"""The list of ended identities: when, by whom, why."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.store.table import StageTable, Table
from chalicelib.store.transaction import Transaction


class AgentRevocationItem(Table):
    """A row of `agent_revocations`."""

    class Meta:
        table_name = StageTable("agent_revocations")

    pk = UnicodeAttribute(hash_key=True)
    agent_id = UnicodeAttribute()
    revoked_at = NumberAttribute()
    revoked_by = UnicodeAttribute()
    note = UnicodeAttribute(null=True)
    job = UnicodeAttribute(null=True)


def put(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    now: int,
    by: str,
    note: str | None,
    job: str | None,
) -> None:
    """Add the entry of an agent's end (part `revocation`)."""
    transaction.put(
        "revocation",
        AgentRevocationItem(
            f"{organization}#{agent}",
            agent_id=agent,
            revoked_at=now,
            revoked_by=by,
            note=note,
            job=job,
        ),
        AgentRevocationItem.pk.does_not_exist(),
    )
