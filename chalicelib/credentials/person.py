"""What a person shows: a session (24 hours), or a personal API token with scopes.

Both are opaque secrets that carry the organization and, as their own id, the *person's*: with the
secret's hash, which names its row, all rows of an authorization have keys that follow from the
credential (docs/decisions/0017).
"""

import hashlib

from chalicelib import ids
from chalicelib.credentials.opaque import OpaqueClaims, OpaqueFamily, digest

SESSION = OpaqueFamily(prefix="rcs_", kind=ids.USER)
PERSONAL_TOKEN = OpaqueFamily(prefix="rcp_", kind=ids.USER)
INVITATION = OpaqueFamily(prefix="rci_", kind=ids.INVITATION)
"""No credential: it is shown once, in a body, by whoever joins an organization."""

SESSION_LIFE_MS = 24 * 3_600_000


def issue_session(organization: str, user: str) -> tuple[str, bytes, str]:
    """A new session: its raw secret, the hash of that, and its identifier."""
    raw, claims = _issue(SESSION, organization, user)
    return raw, claims.digest, session_id(claims)


def issue_personal_token(organization: str, user: str) -> tuple[str, bytes, str]:
    """A new personal API token: its raw secret, the hash of that, and its identifier."""
    raw, claims = _issue(PERSONAL_TOKEN, organization, user)
    return raw, claims.digest, personal_token_id(claims)


def _issue(family: OpaqueFamily, organization: str, user: str) -> tuple[str, OpaqueClaims]:
    raw = family.issue(organization, user)
    return raw, OpaqueClaims(organization, user, digest(raw))


def session_id(claims: OpaqueClaims) -> str:
    """The identifier of a session; it follows from the secret and says nothing of it."""
    return _own_id(ids.SESSION, claims)


def personal_token_id(claims: OpaqueClaims) -> str:
    """The identifier of a personal API token."""
    return _own_id(ids.PERSONAL_TOKEN, claims)


def _own_id(kind: str, claims: OpaqueClaims) -> str:
    # Hashed once more: an identifier is shown and logged, the secret's hash is not.
    return ids.derived(kind, hashlib.sha256(kind.encode() + claims.digest).digest())
