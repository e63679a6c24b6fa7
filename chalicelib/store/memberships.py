"""Who belongs to an organization: the member's row, its mirror at the person, and the count.

The member's row decides what a person may do. Its mirror among the person's own rows only tells
which organizations there are to choose from; both are written in one transaction. The count of
org_admins stands in the organization's own row, so that the last one cannot go however many
changes meet.
"""

from typing import Any

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib import ids
from chalicelib.permissions import Role
from chalicelib.store.organizations import ACTIVE, ORGANIZATION, OrganizationItem
from chalicelib.store.people import USER, PersonItem
from chalicelib.store.transaction import Transaction

MEMBER, MIRROR, ADMINS, ACCOUNT = "member", "mirror", "admins", "account"
"""The parts of these transactions, as `Cancelled.refused` names them."""


def counts(row: OrganizationItem | None) -> bool:
    """Whether a member counts as one of the organization's org_admins."""
    return row is not None and row.role == Role.ORG_ADMIN and row.status == ACTIVE


def add(
    transaction: Transaction,
    organization: str,
    user: str,
    *,
    username: str | None,
    role: str | None,
    projects: dict[str, str],
    created_at: int,
    created_by: str | None,
) -> str:
    """Add a new membership, and return its name. It is counted where it is an org_admin's.

    The organization has to be there and not being deleted.
    """
    membership = ids.new(ids.MEMBERSHIP)
    attributes: dict[str, Any] = {"role": role, "projects": projects, "created_at": created_at}
    transaction.put(
        MEMBER,
        OrganizationItem(
            organization,
            f"member#{user}",
            user=user,
            username=username,
            created_by=created_by,
            membership=membership,
            revision=1,
            **attributes,
        ),
        OrganizationItem.organization.does_not_exist(),
    )
    transaction.put(
        MIRROR,
        PersonItem(user, f"organization#{organization}", organization=organization, **attributes),
        own_mirror(organization),
    )
    if role == Role.ORG_ADMIN:
        count_admins(transaction, organization, 1)
    else:
        transaction.check(
            ADMINS,
            OrganizationItem(organization, ORGANIZATION),
            OrganizationItem.status == ACTIVE,
        )
    return membership


def check_admin(
    transaction: Transaction,
    part: str,
    organization: str,
    user: str,
    *,
    joined_until: int | None = None,
) -> None:
    """Add the condition that a member is an org_admin still, and may act.

    Args:
        transaction: to which it is added.
        part: as `Cancelled.refused` names it.
        organization: the tenant.
        user: the member.
        joined_until: refused where the member joined later than that (milliseconds): what one
            left behind who was removed does not become good again when that one joins again.
    """
    able = (OrganizationItem.role == Role.ORG_ADMIN) & (OrganizationItem.status == ACTIVE)
    if joined_until is not None:
        able = able & (OrganizationItem.created_at <= joined_until)
    transaction.check(part, OrganizationItem(organization, f"member#{user}"), able)


def count_admins(transaction: Transaction, organization: str, change: int) -> None:
    """Add one org_admin, or take one away who is not the last; nothing where `change` is 0."""
    if not change:
        return
    counted = OrganizationItem.admins
    transaction.update(
        ADMINS,
        OrganizationItem(organization, ORGANIZATION),
        [counted.add(change)],
        # A row without a count has no org_admin to spare.
        OrganizationItem.status == ACTIVE if change > 0 else counted > 1,
    )


def change_roles(
    transaction: Transaction, row: OrganizationItem, *, role: str | None, projects: dict[str, str]
) -> None:
    """Give a member other roles, if nobody else has changed the row since it was read."""
    organization, user = row.organization, str(row.user)
    transaction.update(
        MEMBER,
        row,
        [
            *_roles(OrganizationItem, role, projects),
            OrganizationItem.revision.set(int(row.revision or 0) + 1),
        ],
        _unmoved(row),
    )
    transaction.update(
        MIRROR,
        PersonItem(user, f"organization#{organization}"),
        [
            *_roles(PersonItem, role, projects),
            PersonItem.organization.set(organization),
            PersonItem.created_at.set(int(row.created_at)),
        ],
        own_mirror(organization),
    )


def remove(transaction: Transaction, row: OrganizationItem) -> None:
    """End a membership, if nobody else has changed the row since it was read."""
    transaction.delete(MEMBER, row, _unmoved(row))
    transaction.delete(
        MIRROR,
        PersonItem(str(row.user), f"organization#{row.organization}"),
        own_mirror(row.organization),
    )


def set_account_status(
    transaction: Transaction,
    organization: str,
    user: str,
    member: OrganizationItem | None,
    *,
    status: str,
    valid_from: int | None,
) -> None:
    """Disable or enable an account of which the organization is the home.

    A membership at home says the same as the account, so that it alone tells who counts.

    Args:
        transaction: to which this is added.
        organization: the account's home.
        user: whose account it is.
        member: the membership at home as it was read, if there is one.
        status: the account's new one.
        valid_from: ends the sessions that began before, if it is given.
    """
    person = PersonItem
    actions: list[Action] = [person.status.set(status)]
    if valid_from is not None:
        actions.append(person.valid_from.set(valid_from))
    transaction.update(
        ACCOUNT,
        person(user, USER),
        actions,
        (person.home == organization) & (person.status != status),
    )
    if member is None:
        transaction.check(
            MEMBER,
            OrganizationItem(organization, f"member#{user}"),
            OrganizationItem.organization.does_not_exist(),
        )
        return
    transaction.update(
        MEMBER,
        member,
        [
            OrganizationItem.status.set(status),
            OrganizationItem.revision.set(int(member.revision or 0) + 1),
        ],
        _unmoved(member),
    )


def _roles(model: Any, role: str | None, projects: dict[str, str]) -> list[Action]:  # noqa: ANN401
    named = model.role.set(role) if role is not None else model.role.remove()
    return [named, model.projects.set(projects)]


def _unmoved(row: OrganizationItem) -> Condition:
    revision = OrganizationItem.revision
    same = revision.does_not_exist() if row.revision is None else revision == int(row.revision)
    # Revisions begin again with each membership.
    joined = OrganizationItem.created_at == int(row.created_at)
    condition: Condition = OrganizationItem.organization.exists() & same & joined
    if row.membership:
        condition = condition & (OrganizationItem.membership == row.membership)
    return condition


def own_mirror(organization: str) -> Condition:
    """That a mirror is the organization's, or is not there."""
    # It decides nothing, so one that is missing or stale stops nobody, and is made good by this.
    own = PersonItem.organization
    condition: Condition = own.does_not_exist() | (own == organization)
    return condition
