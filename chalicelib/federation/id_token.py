"""Verifying an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""

import base64
import binascii
import hmac
import warnings
from typing import Any

import msgspec

from chalicelib.federation.failures import ProviderError, TokenError

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Asymmetric ones only: `none` and HMAC, where the public key could be the secret, never."""
_KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
LEEWAY_SECONDS = 60
_LONGEST_LIFE_SECONDS = 24 * 3600
_LONGEST_SUBJECT = 255
_PARTS = 3
_MOST_KEYS = 100
_SMALLEST_RSA_BITS = 2048


class Expected(msgspec.Struct, frozen=True):
    """What a token must say."""

    issuer: str
    client_id: str
    nonce: str
    now: int
    """Milliseconds since the epoch."""


class Header(msgspec.Struct, frozen=True):
    """What a token says of its signature; it is believed only within the allow list."""

    alg: str
    kid: str | None = None
    crit: Any = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str
    azp: str | None = None
    nbf: float | None = None


def header(raw: str) -> Header:
    """The header of a token, of an algorithm that is accepted.

    Raises:
        TokenError: it is none, or its algorithm is not on the list.
    """
    first, *rest = raw.split(".")
    if len(rest) != _PARTS - 1 or not raw.isascii():
        raise TokenError("malformed")
    try:
        decoded = base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True)
        read = msgspec.json.decode(decoded, type=Header)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TokenError("malformed") from error
    if read.alg not in ALGORITHMS:
        raise TokenError("algorithm_refused")
    if read.crit is not None:
        raise TokenError("malformed")
    return read


def keys_of(document: bytes) -> list[dict[str, Any]]:
    """The keys of a key set that can sign, as plain members.

    Raises:
        ProviderError: it is no key set.
    """
    try:
        keys = msgspec.json.decode(document, type=dict[str, Any])["keys"]
        return [
            key
            for key in msgspec.convert(keys, list[dict[str, Any]])[:_MOST_KEYS]
            if key.get("use", "sig") == "sig" and key.get("kty") in _KEY_TYPES.values()
        ]
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError("keys_unreadable", "not a set of keys") from error


def candidates(keys: list[dict[str, Any]], said: Header) -> list[dict[str, Any]]:
    """The keys that may have signed a token with this header.

    A token without a key id is accepted only where a single key can have signed it (Core, 10.1).
    """
    fitting = [
        key
        for key in keys
        if key.get("kty") == _KEY_TYPES[said.alg] and key.get("alg", said.alg) == said.alg
    ]
    if said.kid is not None:
        return [key for key in fitting if key.get("kid") == said.kid]
    return fitting if len(fitting) == 1 else []


def verified(raw: str, key: dict[str, Any], said: Header, expected: Expected) -> dict[str, Any]:
    """The claims of a token whose signature and claims hold.

    Raises:
        TokenError: they do not.
    """
    content = _content(raw, key, said.alg)
    try:
        claims = msgspec.json.decode(content, type=dict[str, Any])
        read = msgspec.convert(claims, _Claims)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TokenError("claims_malformed") from error
    _check_parties(read, expected)
    _check_times(read, expected.now / 1000)
    if not hmac.compare_digest(read.nonce.encode(), expected.nonce.encode()):
        raise TokenError("nonce_mismatch")
    return claims


def _content(raw: str, key: dict[str, Any], algorithm: str) -> bytes:
    # A cold start does not pay for these.
    from joserfc import jws  # noqa: PLC0415
    from joserfc.errors import JoseError, SecurityWarning  # noqa: PLC0415
    from joserfc.jwk import JWKRegistry  # noqa: PLC0415

    try:
        # Only the members that make the key: a set's own `key_ops` or certificates do not matter.
        made = JWKRegistry.import_key({name: key[name] for name in _MEMBERS if name in key})
        if made.is_private or not _is_strong(made):
            raise TokenError("key_refused")
        with warnings.catch_warnings():
            # The name EdDSA is out of fashion (RFC 9864); providers use it, and it is sound.
            warnings.simplefilter("ignore", SecurityWarning)
            return bytes(jws.deserialize_compact(raw, made, algorithms=[algorithm]).payload)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenError("signature_invalid") from error


_MEMBERS = ("kty", "n", "e", "d", "crv", "x", "y")


def _is_strong(key: Any) -> bool:  # noqa: ANN401 - one of the library's kinds
    size = getattr(key.public_key, "key_size", None)
    return key.key_type != "RSA" or (size is not None and size >= _SMALLEST_RSA_BITS)


def _check_parties(claims: _Claims, expected: Expected) -> None:
    if claims.iss != expected.issuer:
        raise TokenError("issuer_mismatch")
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if expected.client_id not in audience:
        raise TokenError("audience_mismatch")
    if len(audience) > 1 and claims.azp is None:
        raise TokenError("party_mismatch")
    if claims.azp is not None and claims.azp != expected.client_id:
        raise TokenError("party_mismatch")
    if not claims.sub or len(claims.sub) > _LONGEST_SUBJECT:
        raise TokenError("claims_malformed")


def _check_times(claims: _Claims, now: float) -> None:
    if claims.exp + LEEWAY_SECONDS <= now:
        raise TokenError("expired")
    if claims.iat - LEEWAY_SECONDS > now or (claims.nbf or 0) - LEEWAY_SECONDS > now:
        raise TokenError("not_yet_valid")
    # The nonce binds the token to a login of the last minutes: an older one is not its answer.
    if now - claims.iat > _LONGEST_LIFE_SECONDS:
        raise TokenError("expired")
