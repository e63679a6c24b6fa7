"""What an exchange asks for and gives: the shapes that its parts share."""

from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from chalicelib.credentials import runtime_key
from chalicelib.credentials.opaque import digest
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.evidence.record import Origin
from chalicelib.fields import Hostname, Labels, Name, Pem, ShortText
from chalicelib.flows.contention import Patience
from chalicelib.flows.csr import CsrFacts
from chalicelib.flows.refusals import RefusalLog
from chalicelib.store.agent_identities import AgentIdentityItem

RUNTIME_KEY_TTL_MS = 90 * 86_400_000


class ExchangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host says of itself when it exchanges an enrollment token.

    The token may stand in the body instead of the Authorization header.
    """

    hostname: Hostname | None = None
    token: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    name: Name | None = None
    machine_id: ShortText | None = None
    os: ShortText | None = None
    arch: ShortText | None = None
    agent_version: ShortText | None = None
    labels: Labels = {}
    csr: Pem | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"ExchangeRequest(hostname={self.hostname!r})"


class EnrollTools(msgspec.Struct, frozen=True):
    """What the exchange needs from outside."""

    keyring: Keyring
    patience: Patience
    refusals: RefusalLog


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A fresh runtime key: the raw secret, its hash and its end."""

    raw: str = field(repr=False)
    digest: bytes
    expires_at: int


class Enrolled(msgspec.Struct, frozen=True):
    """What the host gets."""

    organization: str
    identity: AgentIdentityItem
    key: IssuedKey
    heartbeat_interval: int
    csr: CsrFacts | None
    replayed: bool
    scopes: tuple[str, ...] = runtime_key.SCOPES


def issue_key(
    keyring: Keyring, origin: Origin, *, environment: str, agent: str, collector: str, asset: str
) -> IssuedKey:
    """Sign a fresh runtime key; it is worth nothing until its hash is in the presence row."""
    claims = RuntimeClaims(
        organization=origin.organization,
        environment=environment,
        agent=agent,
        collector=collector,
        asset=asset,
        issued_at=origin.now,
        expires_at=origin.now + RUNTIME_KEY_TTL_MS,
    )
    raw = runtime_key.issue(keyring, claims)
    return IssuedKey(raw, digest(raw), claims.expires_at)
