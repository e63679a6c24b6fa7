"""Organizations, their projects, environments (with control rows), members and keys."""

from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)

from chalicelib.store.connection import guarded
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

ACTIVE = "active"
DELETING = "deleting"
DELETED = "deleted"
REVOKED = "revoked"
DEFAULT_HEARTBEAT_INTERVAL = 60
ORGANIZATION = "organization"
FINGERPRINT_KEY_BYTES = 32


class OrganizationItem(Table):
    """A row of the `organizations` table; `item` says of what kind, as in `key#key_…`.

    - `organization`: the tenant. `closed` names its projects and environments that are being
      deleted, `admins` counts its members with the role `org_admin`, `fingerprint_key` is the key
      under which machine ids are kept; each environment has a copy.
    - `name#…`: a name that a project or environment (`holder`) has, unique in its parent.
    - `project#prj_…`, `environment#env_…`. The environment's row is its control row: what belongs
      to all its agents (never an authorization), so a worker may keep it for some seconds.
    - `member#usr_…`: a membership: `role` in the organization, and `projects`, a role in each of
      some projects. `membership` is another one each time the person joins: what was opened under
      one is not valid under the next.
    - `identity-provider`: where its people log in (`store/identity_providers.py`).
    - `exports`: which exports are under way (`store/export_places.py`).
    - `keys`: how many keys were ever made (`store/organization_keys.py`).
    - `seal`: the head of its chain of sealed batches (`store/seals.py`).
    - `key#key_…`: an organization API key. While `previous_until` is not over, the secret from
      before its rotation is good, too.
    """

    class Meta:
        table_name = StageTable("organizations")

    organization = UnicodeAttribute(hash_key=True)
    item = UnicodeAttribute(range_key=True)
    name = UnicodeAttribute(null=True)
    status = UnicodeAttribute(default=ACTIVE)
    project = UnicodeAttribute(null=True)
    holder = UnicodeAttribute(null=True)
    closed: UnicodeSetAttribute = UnicodeSetAttribute(null=True)
    admins = NumberAttribute(null=True)
    digest = BinaryAttribute(null=True, legacy_encoding=False)
    previous_digest = BinaryAttribute(null=True, legacy_encoding=False)
    previous_until = NumberAttribute(null=True)
    scopes: JSONAttribute = JSONAttribute(null=True)
    heartbeat_interval = NumberAttribute(null=True)
    slowdown = NumberAttribute(null=True)
    agent_version = UnicodeAttribute(null=True)
    agent_rollout_percent = NumberAttribute(null=True)
    fingerprint_key = BinaryAttribute(null=True, legacy_encoding=False)
    user = UnicodeAttribute(null=True)
    username = UnicodeAttribute(null=True)
    membership = UnicodeAttribute(null=True)
    role = UnicodeAttribute(null=True)
    projects: JSONAttribute = JSONAttribute(null=True)
    provider: JSONAttribute = JSONAttribute(null=True)
    job = UnicodeAttribute(null=True)
    exports = UnicodeSetAttribute(null=True)
    sealed = NumberAttribute(null=True)
    recently_sealed = BinaryAttribute(null=True, legacy_encoding=False)
    created_at = NumberAttribute()
    created_by = UnicodeAttribute(null=True)
    last_used_at = NumberAttribute(null=True)
    expires_at = NumberAttribute(null=True)
    revision = NumberAttribute(null=True)
    ttl = TTLAttribute(null=True)


def organization_row(organization: str) -> Key:
    """Where the organization itself lives."""
    return OrganizationItem, organization, ORGANIZATION


def key_row(organization: str, key: str) -> Key:
    """Where an organization key lives."""
    return OrganizationItem, organization, f"key#{key}"


def member_row(organization: str, user: str) -> Key:
    """Where a person's membership lives."""
    return OrganizationItem, organization, f"member#{user}"


def project_row(organization: str, project: str) -> Key:
    """Where a project lives."""
    return OrganizationItem, organization, f"project#{project}"


def environment_row(organization: str, environment: str) -> Key:
    """Where an environment's control row lives."""
    return OrganizationItem, organization, f"environment#{environment}"


def find(organization: str, item: str) -> OrganizationItem | None:
    """One row of an organization, as it is now."""
    return OrganizationItem.read(organization, item)


def find_environment(organization: str, environment: str) -> OrganizationItem | None:
    """An environment's control row, as it is now."""
    return OrganizationItem.read(organization, f"environment#{environment}")


def listed(organization: str, kind: str, after: str | None = None) -> Iterator[OrganizationItem]:
    """An organization's rows of a kind (`project`, `environment`, `member`, `key`), in order.

    Args:
        organization: the tenant.
        kind: what stands before the `#` of the rows' `item`.
        after: the identifier after which to begin.
    """
    first = f"{kind}#{after}!" if after is not None else f"{kind}#"
    with guarded():
        yield from OrganizationItem.query(
            organization,
            OrganizationItem.item.between(first, f"{kind}#~"),
            consistent_read=True,
        )


def put_new(transaction: Transaction, organization: str, item: str, **attributes: Any) -> None:  # noqa: ANN401
    """Add the creation of a row that must not exist yet."""
    transaction.put(
        item,
        OrganizationItem(organization, item, **attributes),
        OrganizationItem.organization.does_not_exist(),
    )


def check_active(transaction: Transaction, part: str, key: Key) -> None:
    """Add the condition that a project or environment is there and not being deleted."""
    _, organization, item = key
    transaction.check(part, OrganizationItem(organization, item), OrganizationItem.status == ACTIVE)


def check_member(transaction: Transaction, seen: OrganizationItem) -> None:
    """Add the condition that a person belongs to the organization (part `member`).

    It has to be the membership that was seen, and not one that followed it: who was removed and
    has joined again gets nothing that began before.
    """
    membership = OrganizationItem.membership
    same = membership.does_not_exist() if not seen.membership else membership == seen.membership
    transaction.check(
        "member",
        OrganizationItem(seen.organization, seen.item),
        (OrganizationItem.status == ACTIVE) & same,
    )
