"""An organization's identity provider, and whose identity at it a person is.

The provider is a row of the organization (`identity-provider`), an identity one of `people`.
"""

import hashlib
from typing import Any

import msgspec

from chalicelib.store.organizations import ACTIVE, OrganizationItem, organization_row
from chalicelib.store.people import PersonItem
from chalicelib.store.table import Key, read_all
from chalicelib.store.transaction import Transaction

ITEM = "identity-provider"
_IDENTITY = "identity"
DISABLED = "disabled"


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What an organization says of its provider; the client's secret is sealed."""

    issuer: str
    client_id: str
    scopes: list[str]
    groups_claim: str
    group_roles: dict[str, str]
    status: str
    sealed_secret: str | None
    changed_at: int
    changed_by: str


def provider_row(organization: str) -> Key:
    """Where an organization's provider lives."""
    return OrganizationItem, organization, ITEM


def find(organization: str) -> IdentityProvider | None:
    """An organization's provider, as it is now."""
    return _read(OrganizationItem.read(organization, ITEM))


def find_in_use(organization: str) -> IdentityProvider | None:
    """The provider with which one can log in now: active, of an organization that is active."""
    tenant, row = read_all([organization_row(organization), provider_row(organization)])
    if not isinstance(tenant, OrganizationItem) or tenant.status != ACTIVE:
        return None
    found = _read(row)
    return found if found is not None and found.status == ACTIVE else None


def _read(row: Any) -> IdentityProvider | None:  # noqa: ANN401 - the row of any model, or none
    return None if row is None else msgspec.convert(row.provider, IdentityProvider)


def put(
    transaction: Transaction,
    organization: str,
    provider: IdentityProvider,
    before: IdentityProvider | None,
) -> None:
    """Add the provider, in place of the one that was read before it, if any (part `provider`)."""
    item = OrganizationItem
    transaction.put(
        "provider",
        OrganizationItem(
            organization,
            ITEM,
            status=provider.status,
            provider=msgspec.to_builtins(provider),
            created_at=provider.changed_at,
        ),
        item.organization.does_not_exist()
        if before is None
        else item.created_at == before.changed_at,
    )
    _check_active(transaction, organization)


def check_in_use(transaction: Transaction, organization: str, changed_at: int) -> None:
    """Add that the provider is in use as it was set at a time (part `provider`)."""
    transaction.check(
        "provider",
        OrganizationItem(organization, ITEM),
        (OrganizationItem.status == ACTIVE) & (OrganizationItem.created_at == changed_at),
    )


def remove(transaction: Transaction, organization: str) -> None:
    """Take the provider away, if there is one (part `provider`)."""
    transaction.delete(
        "provider",
        OrganizationItem(organization, ITEM),
        OrganizationItem.organization.exists(),
    )
    _check_active(transaction, organization)


def _check_active(transaction: Transaction, organization: str) -> None:
    transaction.check(
        "organization",
        OrganizationItem(organization, "organization"),
        OrganizationItem.status == ACTIVE,
    )


def _identity_key(organization: str, issuer: str, subject: str) -> str:
    """The key of an identity: organization, issuer and subject, and never an e-mail address."""
    return f"identity#{organization}#{subject_digest(issuer, subject)}"


def subject_digest(issuer: str, subject: str) -> str:
    """What stands for a subject where it must only be recognised again."""
    return hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()


def find_person(organization: str, issuer: str, subject: str) -> str | None:
    """The identifier of the person whose identity it is."""
    row = PersonItem.read(_identity_key(organization, issuer, subject), _IDENTITY)
    return None if row is None else str(row.user)


def put_identity(
    transaction: Transaction,
    organization: str,
    issuer: str,
    subject: str,
    *,
    user: str,
    created_at: int,
) -> None:
    """Add a new identity of a person (part `identity`)."""
    transaction.put(
        "identity",
        PersonItem(
            _identity_key(organization, issuer, subject),
            _IDENTITY,
            user=user,
            organization=organization,
            issuer=issuer,
            subject=subject,
            created_at=created_at,
        ),
        PersonItem.pk.does_not_exist(),
    )
