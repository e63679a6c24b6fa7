"""The events about an organization's identity provider and the people who come through it."""

from chalicelib.evidence.events import Detail


class OrganizationIdentityProviderChanged(Detail, frozen=True, kw_only=True):
    """The organization's identity provider was set, changed or (`removed`) taken away.

    `confidential` tells whether the client has a secret; never which.
    """

    NAME = "organization.identity_provider.changed"
    issuer: str
    client_id: str
    status: str
    groups_claim: str
    group_roles: dict[str, str]
    confidential: bool


class UserProvisioned(Detail, frozen=True, kw_only=True):
    """Somebody came through the identity provider for the first time and got an account."""

    NAME = "user.provisioned"
    user_id: str
    issuer: str
    subject_sha256: str
