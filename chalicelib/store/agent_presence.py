"""Presence: the small hot row of an agent's last heartbeat, and the index of who is overdue.

Attribute names are short because they are paid for at every beat: the row stays far below the
1 KB of one write unit.

- `key`, `pending_key`: SHA-256 of the runtime key, and of the one that a rotation handed out and
  that nobody used yet.
- `instance`, `instance_since`, `source_address`: the agent's process, and when and from where it
  was first heard. `earlier_instances` are those before it (`store/instances.py`), by which a clone
  is noticed.
- `facts`: SHA-256 of the facts that are stored; a beat with another one is asked for its facts.
- `rotation_requested`: an operator wants a new runtime key.
- `split`: fingerprint of the instance that is to take an identity of its own. `split_keys` are the
  hashes, one after the other, of the keys that were good when that was decided: the copy has one
  of them, also after the agent that stays rotated its own.
- `quarantine_reason`: `operator` or `clone`, while the agent is quarantined.
- `released_at`: when the last quarantine ended. A quarantined agent's beats are not written down.
"""

from collections.abc import Iterator

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from chalicelib.store.connection import guarded
from chalicelib.store.paging import shard_of
from chalicelib.store.table import Key, StageTable, Table

ENROLLED = "enrolled"
ONLINE = "online"
OFFLINE = "offline"
QUARANTINED = "quarantined"
REVOKED = "revoked"

OVERDUE_SHARDS = 8


class OverdueAgents(GlobalSecondaryIndex["AgentPresenceItem"]):
    """Who will be overdue in which bucket. Sparse: only agents that are online stand in it."""

    class Meta:
        index_name = "overdue"
        projection = KeysOnlyProjection()

    due = UnicodeAttribute(hash_key=True)
    pk = UnicodeAttribute(range_key=True)


class AgentPresenceItem(Table):
    """A row of `agent_presence`."""

    class Meta:
        table_name = StageTable("agent_presence")

    pk = UnicodeAttribute(hash_key=True)
    overdue = OverdueAgents()
    due = UnicodeAttribute(null=True)
    project = UnicodeAttribute(attr_name="pr", null=True)
    environment = UnicodeAttribute(attr_name="e", null=True)
    status = UnicodeAttribute(attr_name="s", null=True)
    key = BinaryAttribute(attr_name="k", null=True, legacy_encoding=False)
    pending_key = BinaryAttribute(attr_name="p", null=True, legacy_encoding=False)
    scopes = UnicodeSetAttribute(attr_name="sc", null=True)
    sequence = NumberAttribute(attr_name="q", null=True)
    nonce = UnicodeAttribute(attr_name="b", null=True)
    instance = UnicodeAttribute(attr_name="i", null=True)
    last_seen = NumberAttribute(attr_name="l", null=True)
    next_allowed = NumberAttribute(attr_name="n", null=True)
    version = UnicodeAttribute(attr_name="v", null=True)
    unpersisted = BooleanAttribute(attr_name="u", null=True)
    facts = BinaryAttribute(attr_name="f", null=True, legacy_encoding=False)
    rotation_requested = BooleanAttribute(attr_name="r", null=True)
    rotated_at = NumberAttribute(attr_name="ro", null=True)
    instance_since = NumberAttribute(attr_name="g", null=True)
    source_address = UnicodeAttribute(attr_name="a", null=True)
    earlier_instances = BinaryAttribute(attr_name="o", null=True, legacy_encoding=False)
    split = BinaryAttribute(attr_name="x", null=True, legacy_encoding=False)
    split_keys = BinaryAttribute(attr_name="y", null=True, legacy_encoding=False)
    quarantine_reason = UnicodeAttribute(attr_name="c", null=True)
    released_at = NumberAttribute(attr_name="z", null=True)
    swept_through = NumberAttribute(attr_name="w", null=True)

    @property
    def organization(self) -> str:
        """The tenant, as it stands in the key."""
        return self.pk.split("#", 1)[0]

    @property
    def agent(self) -> str:
        """The agent, as it stands in the key."""
        return self.pk.split("#", 1)[1]


def presence_row(organization: str, agent: str) -> Key:
    """Where an agent's presence lives."""
    return AgentPresenceItem, f"{organization}#{agent}", None


def find(organization: str, agent: str) -> AgentPresenceItem | None:
    """An agent's presence, as it is now."""
    return AgentPresenceItem.read(f"{organization}#{agent}")


def bucket_of(milliseconds: int, width: int) -> int:
    """The bucket (seconds since the epoch of its start) that a time falls into."""
    seconds = milliseconds // 1000
    return seconds - seconds % width


def due_key(agent: str, overdue_at: int, width: int) -> str:
    """The hash key of the overdue index under which an agent waits."""
    return f"{bucket_of(overdue_at, width)}#{shard_of(agent, OVERDUE_SHARDS)}"


def overdue_in(bucket: int) -> Iterator[tuple[str, str]]:
    """Organization and agent of all that wait in a bucket: the one read across tenants."""
    for shard in range(OVERDUE_SHARDS):
        with guarded():
            for row in AgentPresenceItem.overdue.query(f"{bucket}#{shard}"):
                yield row.organization, row.agent
