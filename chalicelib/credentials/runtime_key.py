"""The runtime key: an agent's own credential, signed and bounded in time.

The signature only keeps junk away from the database. Authority is the presence row, which holds
the SHA-256 of the whole key, so a leaked signing secret alone forges nobody.
"""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass

from chalicelib import ids
from chalicelib.credentials.opaque import digest
from chalicelib.credentials.outcome import Rejected, Verified
from chalicelib.credentials.signing import Keyring, UnknownKeyIdError

PREFIX = "rca_"
HEARTBEAT = "agent:heartbeat"
SCOPES = (HEARTBEAT, "agent:artifact_upload")
MAX_LENGTH = 512
_SALT = "rollcall.runtime-key.v1"
_FIELDS = 8
_PARTS = 3


@dataclass(frozen=True, slots=True)
class RuntimeClaims:
    """What a runtime key carries. Times are milliseconds since the epoch."""

    organization: str
    environment: str
    agent: str
    collector: str
    asset: str
    issued_at: int
    expires_at: int
    digest: bytes = b""


def issue(keyring: Keyring, claims: RuntimeClaims) -> str:
    """A new raw key with 256 random bits, to be shown once and kept nowhere."""
    fields = [
        *(
            ids.body(identifier)
            for identifier in (
                claims.organization,
                claims.environment,
                claims.agent,
                claims.collector,
                claims.asset,
            )
        ),
        claims.issued_at,
        claims.expires_at,
        secrets.token_urlsafe(32),
    ]
    payload = _encode(json.dumps(fields, separators=(",", ":")).encode())
    stem = f"{PREFIX}{keyring.current_id()}.{payload}"
    key_id = stem.removeprefix(PREFIX).split(".", 1)[0]
    return f"{stem}.{keyring.sign(_SALT, stem, key_id)}"


def read(keyring: Keyring, raw: str, now: int) -> Verified[RuntimeClaims] | Rejected:
    """Check signature and expiry of a raw key, without a request to the database.

    Raises:
        Unavailable: the signing secret cannot be read.
    """
    parts = raw.removeprefix(PREFIX).split(".")
    if not raw.startswith(PREFIX) or len(raw) > MAX_LENGTH or len(parts) != _PARTS:
        return Rejected("key_invalid")
    key_id, payload, signature = parts
    try:
        if not keyring.verify(_SALT, f"{PREFIX}{key_id}.{payload}", signature, key_id):
            return Rejected("key_invalid")
        claims = _claims(json.loads(_decode(payload)), raw)
    except (UnknownKeyIdError, binascii.Error, ValueError):
        return Rejected("key_invalid")
    if claims is None:
        return Rejected("key_invalid")
    if claims.expires_at <= now:
        return Rejected("key_expired")
    return Verified(claims)


def _claims(fields: object, raw: str) -> RuntimeClaims | None:
    if not isinstance(fields, list) or len(fields) != _FIELDS:
        return None
    organization, environment, agent, collector, asset, issued_at, expires_at, _random = fields
    return RuntimeClaims(
        organization=f"{ids.ORGANIZATION}_{organization}",
        environment=f"{ids.ENVIRONMENT}_{environment}",
        agent=f"{ids.AGENT}_{agent}",
        collector=f"{ids.COLLECTOR}_{collector}",
        asset=f"{ids.ASSET}_{asset}",
        issued_at=int(issued_at),
        expires_at=int(expires_at),
        digest=digest(raw),
    )


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
