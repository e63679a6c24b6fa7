"""Organizations: creating and renaming them."""

import secrets
from itertools import islice
from typing import Any

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict
from chalicelib.evidence.organization_events import OrganizationCreated, OrganizationUpdated
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import DisplayName
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.permissions import Role
from chalicelib.store import audit_records, organizations, parents, people
from chalicelib.store.organizations import ACTIVE, ORGANIZATION, OrganizationItem
from chalicelib.store.transaction import Transaction

MOST_OF_A_PERSON = 100


class CreateOrganizationRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """An organization to be."""

    name: DisplayName


class UpdateOrganizationRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The new name."""

    name: DisplayName


def create(
    patience: Patience, origin: Origin, request: CreateOrganizationRequest
) -> OrganizationItem:
    """Create an organization, of which the person becomes the first org_admin.

    The evidence is the new organization's. The session stays with the organization that it is
    bound to.

    Raises:
        Conflict: the person belongs to `MOST_OF_A_PERSON` organizations.
    """
    user = origin.actor_id
    if len(list(islice(people.belongings(user, "organization#"), MOST_OF_A_PERSON))) == (
        MOST_OF_A_PERSON
    ):
        raise Conflict(
            f"A person belongs to {MOST_OF_A_PERSON} organizations at most.",
            code="too_many_organizations",
        )
    person = people.find_user(user)
    own = msgspec.structs.replace(origin, organization=ids.new(ids.ORGANIZATION))
    for _ in patience.rounds():
        transaction = Transaction()
        row = OrganizationItem(
            own.organization,
            ORGANIZATION,
            name=request.name,
            admins=1,
            fingerprint_key=secrets.token_bytes(organizations.FINGERPRINT_KEY_BYTES),
            created_at=own.now,
            created_by=user,
            revision=1,
        )
        parents.put_new(transaction, row)
        _join(transaction, own, person.username if person is not None else None)
        audit_records.put(
            transaction,
            success(
                own,
                OrganizationCreated(name=request.name, user_id=user),
                resource=("organization", own.organization),
            ),
        )
        cancelled = transaction.write()
        # A row of an identifier so random is ours: the SDK repeated it after a lost answer.
        if cancelled is None or ORGANIZATION in cancelled.refused:
            return row
    raise AssertionError("unreachable: patience raises")


def _join(transaction: Transaction, origin: Origin, username: str | None) -> None:
    user = origin.actor_id
    roles: dict[str, Any] = {"role": Role.ORG_ADMIN.value, "projects": {}, "created_at": origin.now}
    member = OrganizationItem(
        origin.organization,
        f"member#{user}",
        user=user,
        username=username,
        membership=ids.new(ids.MEMBERSHIP),
        created_by=user,
        revision=1,
        **roles,
    )
    parents.put_new(transaction, member)
    people.put_new(
        transaction,
        "belonging",
        user,
        f"organization#{origin.organization}",
        organization=origin.organization,
        **roles,
    )


def update(
    patience: Patience, origin: Origin, request: UpdateOrganizationRequest
) -> OrganizationItem:
    """Rename the organization; nothing is written where it has that name already.

    Raises:
        Forbidden: it is being deleted.
    """
    for _ in patience.rounds():
        row = organizations.find(origin.organization, ORGANIZATION)
        if row is None or row.status != ACTIVE:
            raise organization_closed()
        if row.name == request.name:
            return row
        transaction = Transaction()
        parents.change(transaction, row, name=request.name)
        audit_records.put(
            transaction,
            success(
                origin,
                OrganizationUpdated(name=request.name, previous_name=str(row.name)),
                resource=("organization", origin.organization),
            ),
        )
        transaction.write()
    raise AssertionError("unreachable: patience raises")
