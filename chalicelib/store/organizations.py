"""Organizations, their projects, environments (with control rows) and organization keys."""

from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
)

from chalicelib.store.connection import guarded
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

ACTIVE = "active"
DEFAULT_HEARTBEAT_INTERVAL = 60


class OrganizationItem(Table):
    """A row of the `organizations` table; `item` says of what kind, as in `key#key_…`.

    The environment's row is its control row: what belongs to all its agents (never an
    authorization), so a worker may keep it for some seconds.
    """

    class Meta:
        table_name = StageTable("organizations")

    organization = UnicodeAttribute(hash_key=True)
    item = UnicodeAttribute(range_key=True)
    name = UnicodeAttribute(null=True)
    status = UnicodeAttribute(default=ACTIVE)
    project = UnicodeAttribute(null=True)
    digest = BinaryAttribute(null=True, legacy_encoding=False)
    scopes: JSONAttribute = JSONAttribute(null=True)
    heartbeat_interval = NumberAttribute(null=True)
    fingerprint_key = BinaryAttribute(null=True, legacy_encoding=False)
    created_at = NumberAttribute()


def find_key(organization: str, key: str) -> OrganizationItem | None:
    """An organization key, as it is now."""
    return OrganizationItem.read(organization, f"key#{key}")


def environment_row(organization: str, environment: str) -> Key:
    """Where an environment's control row lives."""
    return OrganizationItem, organization, f"environment#{environment}"


def find_environment(organization: str, environment: str) -> OrganizationItem | None:
    """An environment's control row, as it is now."""
    return OrganizationItem.read(organization, f"environment#{environment}")


def environments(organization: str) -> list[str]:
    """The identifiers of all environments of an organization, in order."""
    with guarded():
        rows = OrganizationItem.query(
            organization,
            OrganizationItem.item.startswith("environment#"),
            consistent_read=True,
            attributes_to_get=["organization", "item", "created_at"],
        )
        return [row.item.removeprefix("environment#") for row in rows]


def put_new(transaction: Transaction, organization: str, item: str, **attributes: Any) -> None:  # noqa: ANN401
    """Add the creation of a row that must not exist yet."""
    transaction.put(
        item,
        OrganizationItem(organization, item, **attributes),
        OrganizationItem.organization.does_not_exist(),
    )
