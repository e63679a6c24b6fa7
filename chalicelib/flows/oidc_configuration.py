"""Which identity provider an organization's people log in with, and which role a group gives."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chalicelib.credentials.sealed import UnsealableError, seal, unseal
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Malformed, NotFound, Unavailable
from chalicelib.evidence.federation_events import OrganizationIdentityProviderChanged
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import PRINTABLE, PRINTABLE_RULE, ShortText, matching
from chalicelib.flows import acting
from chalicelib.flows.contention import Patience
from chalicelib.flows.projects import organization_closed
from chalicelib.permissions import Role
from chalicelib.store import audit_records, identity_providers
from chalicelib.store.identity_providers import IdentityProvider
from chalicelib.store.transaction import Transaction

_PURPOSE = "identity-provider-secret"
REMOVED = "removed"
OPENID = "openid"
# What RFC 6749 (appendix A) allows, and Basic authentication can carry.
_SCOPE = r"\A[\x21\x23-\x5b\x5d-\x7e]+\Z"

Issuer = Annotated[
    str,
    matching(
        r"\Ahttps://[\x21-\x7e]+\Z",
        "an address that begins with https:// and has no blanks",
        max_length=512,
    ),
]
ClientId = Annotated[str, matching(PRINTABLE, PRINTABLE_RULE, max_length=256)]
ClientSecret = Annotated[str, matching(PRINTABLE, PRINTABLE_RULE, max_length=1024)]
Scope = Annotated[
    str,
    matching(_SCOPE, "of printable ASCII without blanks, quotes and backslashes", max_length=128),
]
GroupRoles = Annotated[dict[ShortText, Role], Meta(max_length=64)]


class IdentityProviderRequest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """The whole configuration.

    A `client_secret` that is not named stays as it is, as long as issuer and client do; null takes
    it away: a public client.
    """

    issuer: Issuer
    client_id: ClientId
    client_secret: ClientSecret | UnsetType | None = UNSET
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=16)] = msgspec.field(
        default_factory=lambda: [OPENID, "profile"]
    )
    groups_claim: ShortText = "groups"
    group_roles: GroupRoles
    status: Literal["active", "disabled"] = "active"

    def __repr__(self) -> str:
        return f"IdentityProviderRequest({self.issuer})"


def get(organization: str) -> IdentityProvider:
    """The organization's provider.

    Raises:
        NotFound: it has none.
    """
    found = identity_providers.find(organization)
    if found is None:
        raise unknown()
    return found


def put(
    keyring: Keyring, patience: Patience, origin: Origin, wanted: IdentityProviderRequest
) -> IdentityProvider:
    """Set the provider, or change it.

    Raises:
        Malformed: the issuer is no address that may be asked, or `openid` is not among the scopes.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted; or the organization is being deleted.
        Unavailable: the signing secret cannot be read.
    """
    _check(wanted)
    for _ in patience.rounds():
        before = identity_providers.find(origin.organization)
        provider = IdentityProvider(
            issuer=wanted.issuer,
            client_id=wanted.client_id,
            scopes=wanted.scopes,
            groups_claim=wanted.groups_claim,
            group_roles={group: str(role) for group, role in wanted.group_roles.items()},
            status=wanted.status,
            sealed_secret=_sealed(keyring, origin.organization, wanted, before),
            # No two say the same time: a login under way is refused by it.
            changed_at=origin.now if before is None else max(origin.now, before.changed_at + 1),
            changed_by=origin.actor_id,
        )
        transaction = Transaction()
        identity_providers.put(transaction, origin.organization, provider, before)
        if _write(transaction, origin, provider, provider.status):
            return provider
    raise AssertionError("unreachable: patience raises")


def remove(patience: Patience, origin: Origin) -> None:
    """Take the provider away: nobody logs in with it any more. People and sessions stay.

    Raises:
        NotFound: there is none.
        Unauthenticated: the person who acts was removed meanwhile.
        Forbidden: or demoted.
    """
    provider = get(origin.organization)
    for attempt in patience.rounds():
        if attempt and identity_providers.find(origin.organization) is None:
            return
        transaction = Transaction()
        identity_providers.remove(transaction, origin.organization)
        if _write(transaction, origin, provider, REMOVED):
            return


def _check(wanted: IdentityProviderRequest) -> None:
    # Imported late: routes of agents do not pay for it.
    from chalicelib.federation.failures import ProviderError  # noqa: PLC0415
    from chalicelib.federation.provider import issuer_place  # noqa: PLC0415

    try:
        issuer_place(wanted.issuer)
    except ProviderError as error:
        raise _invalid("issuer", "an https address without user, query and fragment") from error
    if OPENID not in wanted.scopes:
        raise _invalid("scopes", f"{OPENID} must be one of them")


def _sealed(
    keyring: Keyring,
    organization: str,
    wanted: IdentityProviderRequest,
    before: IdentityProvider | None,
) -> str | None:
    if isinstance(wanted.client_secret, str):
        place = _place(organization, wanted.issuer)
        return seal(keyring, _PURPOSE, wanted.client_secret.encode(), place)
    # A secret never follows to another issuer: whoever may name one would learn it.
    kept = before is not None and (before.issuer, before.client_id) == (
        wanted.issuer,
        wanted.client_id,
    )
    return before.sealed_secret if before and kept and wanted.client_secret is UNSET else None


def client_secret(keyring: Keyring, organization: str, provider: IdentityProvider) -> str | None:
    """The client's raw secret; None for a public client.

    Raises:
        Unavailable: it cannot be opened: the signing key that sealed it is gone (law 7).
    """
    if provider.sealed_secret is None:
        return None
    place = _place(organization, provider.issuer)
    try:
        return unseal(keyring, _PURPOSE, provider.sealed_secret, place).decode()
    except UnsealableError as error:
        raise Unavailable(
            "The identity provider's client secret must be set anew.",
            code="identity_provider_unavailable",
            cause=f"sealed client secret: {error}",
            seconds=60,
        ) from error


def _place(organization: str, issuer: str) -> str:
    return f"{organization}\n{issuer}"


def changed(provider: IdentityProvider, status: str) -> OrganizationIdentityProviderChanged:
    """What evidence says of a provider that was set, or taken away (`REMOVED`)."""
    return OrganizationIdentityProviderChanged(
        issuer=provider.issuer,
        client_id=provider.client_id,
        status=status,
        groups_claim=provider.groups_claim,
        group_roles=provider.group_roles,
        confidential=provider.sealed_secret is not None and status != REMOVED,
    )


def _write(
    transaction: Transaction, origin: Origin, provider: IdentityProvider, status: str
) -> bool:
    acting.check_admin(transaction, origin)
    detail = changed(provider, status)
    audit_records.put(
        transaction, success(origin, detail, resource=("organization", origin.organization))
    )
    cancelled = transaction.write()
    if cancelled is None:
        return True
    acting.refuse(cancelled, origin)
    if "organization" in cancelled.refused:
        raise organization_closed()
    return False


def _invalid(path: str, message: str) -> Malformed:
    return Malformed(
        "The request is not valid.", extra={"errors": [{"path": path, "message": message}]}
    )


def unknown() -> NotFound:
    """The answer where there is no provider, or no such organization."""
    return NotFound(
        "The organization has no identity provider.", code="identity_provider_not_found"
    )
