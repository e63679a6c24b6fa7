"""Who an agent is: its name, labels and origin; and the reservations of names.

`agent_lists` has its indexes' reads, `machines` and `agent_facts` have the other rows of the table.
"""

from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.expressions.update import Action
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib import names
from chalicelib.store.paging import shard_key, shard_of
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

ACTIVE = "active"
REVOKED = "revoked"


class AgentsByEnvironment(GlobalSecondaryIndex["AgentIdentityItem"]):
    """Lists an environment's agents by name."""

    class Meta:
        index_name = "by_environment"
        projection = AllProjection()

    environment_shard = UnicodeAttribute(hash_key=True)
    name_key = UnicodeAttribute(range_key=True)


class AgentsByToken(GlobalSecondaryIndex["AgentIdentityItem"]):
    """Finds the agents that an enrollment token created."""

    class Meta:
        index_name = "by_token"
        projection = KeysOnlyProjection()

    token_shard = UnicodeAttribute(hash_key=True)
    agent_id = UnicodeAttribute(range_key=True)


class AgentIdentityItem(Table):
    """A row of `agent_identities`; those that are no agent stand in no index.

    - `org#agt`: an agent. `machine_fingerprint` is the HMAC of its host's machine id, `replaced_by`
      the agent that took its place.
    - `org#env#name#…`: the reservation of a name. With `revoked_at` the name is free, and the row
      says which agent had it last.
    - `org#machine#…`: the live `agents` of a machine, and whether it is `crowded`
      (`store/machines.py`).
    - `org#agt#facts`: what a host says about itself (`store/agent_facts.py`).
    """

    class Meta:
        table_name = StageTable("agent_identities")

    pk = UnicodeAttribute(hash_key=True)
    by_environment = AgentsByEnvironment()
    by_token = AgentsByToken()
    environment_shard = UnicodeAttribute(null=True)
    name_key = UnicodeAttribute(null=True)
    token_shard = UnicodeAttribute(null=True)
    agent_id = UnicodeAttribute()
    status = UnicodeAttribute(null=True)
    project = UnicodeAttribute(null=True)
    environment = UnicodeAttribute(null=True)
    name = UnicodeAttribute(null=True)
    labels: JSONAttribute = JSONAttribute(null=True)
    hostname = UnicodeAttribute(null=True)
    os = UnicodeAttribute(null=True)
    arch = UnicodeAttribute(null=True)
    agent_version = UnicodeAttribute(null=True)
    token = UnicodeAttribute(null=True)
    collector = UnicodeAttribute(null=True)
    asset = UnicodeAttribute(null=True)
    machine_fingerprint = BinaryAttribute(null=True, legacy_encoding=False)
    certificate = UnicodeAttribute(null=True)
    created_at = NumberAttribute()
    revoked_at = NumberAttribute(null=True)
    deleted_at = NumberAttribute(null=True)
    replaced_by = UnicodeAttribute(null=True)
    quarantine: JSONAttribute = JSONAttribute(null=True)
    released: JSONAttribute = JSONAttribute(null=True)
    agents: UnicodeSetAttribute = UnicodeSetAttribute(null=True)
    crowded = BooleanAttribute(null=True)
    facts: JSONAttribute = JSONAttribute(null=True)
    facts_sha256 = BinaryAttribute(null=True, legacy_encoding=False)
    facts_received_at = NumberAttribute(null=True)
    facts_changes: JSONAttribute = JSONAttribute(null=True)
    revision = NumberAttribute(null=True)


def agent_row(organization: str, agent: str) -> Key:
    """Where an agent's identity lives."""
    return AgentIdentityItem, f"{organization}#{agent}", None


def find(organization: str, agent: str) -> AgentIdentityItem | None:
    """An agent's identity, as it is now."""
    return AgentIdentityItem.read(f"{organization}#{agent}")


def _name_pk(organization: str, environment: str, name: str) -> str:
    # Unique in an environment without regard to case. Agents' names are ASCII, so the key is the
    # one that rows had before there was a normal form.
    return f"{organization}#{environment}#name#{names.folded(name)}"


def _name_key(name: str, agent: str) -> str:
    return f"{names.folded(name)}#{agent}"


def name_row(organization: str, environment: str, name: str) -> Key:
    """Where the reservation of a name lives, and after it which agent had the name last."""
    return AgentIdentityItem, _name_pk(organization, environment, name), None


def is_called(row: AgentIdentityItem, environment: str, name: str) -> bool:
    """Whether an agent's identity has this name in an environment, without regard to case."""
    return row.environment == environment and row.name_key == _name_key(name, row.agent_id)


def create(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    environment: str,
    name: str,
    token: str,
    created_at: int,
    former: str | None = None,
    **attributes: Any,  # noqa: ANN401 - the model's own attributes
) -> None:
    """Add the identity (part `identity`) and the reservation of its name (part `name`).

    `former` is an agent that ends by the same transaction, and may leave it its name.
    """
    row = AgentIdentityItem(
        f"{organization}#{agent}",
        agent_id=agent,
        status=ACTIVE,
        environment=environment,
        environment_shard=shard_key(organization, environment, shard=shard_of(agent)),
        name=name,
        name_key=_name_key(name, agent),
        token=token,
        token_shard=shard_key(organization, token, shard=shard_of(agent)),
        created_at=created_at,
        revision=1,
        **attributes,
    )
    transaction.put("identity", row, AgentIdentityItem.pk.does_not_exist())
    reserve_name(
        transaction, organization, agent,
        environment=environment, name=name, created_at=created_at, former=former,
    )  # fmt: skip


def reserve_name(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    environment: str,
    name: str,
    created_at: int,
    former: str | None = None,
) -> None:
    """Add the reservation of a name (part `name`); refused where another agent has it.

    From a `former` holder it changes hands: a transaction may touch the row only once.
    """
    holder = AgentIdentityItem.agent_id
    own = holder.is_in(agent, former) if former is not None else holder == agent
    transaction.put(
        "name",
        AgentIdentityItem(
            _name_pk(organization, environment, name), agent_id=agent, created_at=created_at
        ),
        AgentIdentityItem.pk.does_not_exist() | own | AgentIdentityItem.revoked_at.exists(),
    )


def release_name(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    environment: str,
    name: str,
    part: str = "released",
) -> None:
    """Add the release of a name that the agent holds."""
    transaction.delete(
        part,
        AgentIdentityItem(_name_pk(organization, environment, name)),
        AgentIdentityItem.agent_id == agent,
    )


def free_name(
    transaction: Transaction,
    organization: str,
    agent: str,
    *,
    environment: str,
    name: str,
    now: int,
    part: str = "released",
) -> None:
    """Add that the name of an agent which ends is free; refused where the agent does not hold it.

    The row stays until another agent takes the name: it says which agent had it last.
    """
    item = AgentIdentityItem
    transaction.update(
        part,
        item(_name_pk(organization, environment, name)),
        [item.revoked_at.set(now)],
        item.agent_id == agent,
    )


def change(
    transaction: Transaction,
    organization: str,
    row: AgentIdentityItem,
    *,
    name: str,
    labels: dict[str, str],
) -> None:
    """Add a change of name and labels, on condition that nobody changed the row meanwhile."""
    item = AgentIdentityItem
    transaction.update(
        "identity",
        item(f"{organization}#{row.agent_id}"),
        [
            item.name.set(name),
            item.name_key.set(_name_key(name, row.agent_id)),
            item.labels.set(labels),
            item.revision.set(int(row.revision) + 1),
        ],
        (item.revision == row.revision) & (item.status == ACTIVE),
    )


def note_quarantine(
    transaction: Transaction,
    organization: str,
    agent: str,
    quarantine: dict[str, Any] | None,
    released: dict[str, Any] | None = None,
) -> None:
    """Add why the agent is quarantined, or what ended that (part `identity`)."""
    item = AgentIdentityItem
    actions: list[Action] = [
        attribute.remove() if value is None else attribute.set(value)
        for attribute, value in ((item.quarantine, quarantine), (item.released, released))
    ]
    transaction.update("identity", item(f"{organization}#{agent}"), actions, item.status == ACTIVE)


def revoke(
    transaction: Transaction,
    seen: AgentIdentityItem,
    *,
    now: int,
    forget: bool = False,
    by: str | None = None,
    part: str = "identity",
) -> None:
    """Add the identity's end; refused where it is unknown or ended already.

    And where it moved to another machine than the one that it was seen on, and leaves with this.
    With `forget` it leaves the lists, too. `by` is the agent that takes its place, and its name by
    the same transaction: then the row must be the one that was seen.
    """
    item, machine = AgentIdentityItem, seen.machine_fingerprint
    there = (
        item.machine_fingerprint == machine
        if machine is not None
        else item.machine_fingerprint.does_not_exist()
    )
    transaction.update(
        part,
        item(seen.pk),
        [
            item.status.set(REVOKED),
            item.revoked_at.set(now),
            *(() if by is None else (item.replaced_by.set(by),)),
            *(_forgotten(now) if forget else ()),
        ],
        (item.pk.exists() if by is None else item.revision == seen.revision)
        & (item.status != REVOKED)
        & there,
    )


def replace(
    transaction: Transaction, seen: AgentIdentityItem, *, by: str, now: int, part: str
) -> None:
    """Add the identity's end in favour of another; refused where it changed since it was seen.

    Its name goes by the same transaction, and must be the one that was seen.
    """
    item = AgentIdentityItem
    transaction.update(
        part,
        item(seen.pk),
        [item.status.set(REVOKED), item.revoked_at.set(now), item.replaced_by.set(by)],
        (item.revision == seen.revision) & (item.status == ACTIVE),
    )


def forget(transaction: Transaction, organization: str, agent: str, *, now: int) -> None:
    """Add that an agent which has ended leaves the lists (part: its identifier)."""
    item = AgentIdentityItem
    row = item(f"{organization}#{agent}")
    transaction.update(agent, row, _forgotten(now), item.status == REVOKED)


def _forgotten(now: int) -> list[Action]:
    # It stays in `by_token`: the count of those that a token made is how a cascade ends.
    item = AgentIdentityItem
    return [item.deleted_at.set(now), item.environment_shard.remove(), item.name_key.remove()]
