"""ID tokens that a provider never signed, and some that it did."""

import base64
import json
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

ISSUER = "https://idp.example"
CLIENT = "rollcall"
NONCE = "n" * 43
NOW = 1_780_000_000

RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)
KEYS: dict[str, Key] = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": ED}


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, but for what is changed; None leaves one out."""
    good = {
        "iss": ISSUER,
        "sub": "subject",
        "aud": CLIENT,
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE,
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def public(key: Key) -> dict[str, Any]:
    """A key as a provider publishes it."""
    return dict(key.as_dict(private=False))


def signed(key: Key, algorithm: str, content: Any = None, **header: Any) -> str:
    """A token under a key."""
    protected = {"alg": algorithm, "kid": key.kid, **header}
    payload = json.dumps(claims() if content is None else content)
    return jws.serialize_compact(protected, payload, key, algorithms=[algorithm])


def signed_with_text(secret: bytes, algorithm: str = "HS256", **header: Any) -> str:
    """A token whose signature is an HMAC under a text that everybody knows."""
    protected = {"alg": algorithm, "kid": "rsa", **header}
    return jws.serialize_compact(
        protected, json.dumps(claims()), OctKey.import_key(secret), algorithms=[algorithm]
    )


def unsigned(**header: Any) -> str:
    """A token without a signature."""
    parts = (json.dumps({"alg": "none", **header}), json.dumps(claims()))
    return ".".join((*(encoded(part.encode()) for part in parts), ""))


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
