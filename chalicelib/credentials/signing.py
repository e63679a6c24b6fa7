"""The keyring: HMAC-SHA-256 under the stage's runtime signing secret, with explicit key ids."""

import hashlib
import hmac
import json
from collections.abc import Callable

from itsdangerous import Signer

from chalicelib.errors import Unavailable

REFETCH_EVERY_MS = 60_000
Fetch = Callable[[], str]
Clock = Callable[[], int]


class UnknownKeyIdError(Exception):
    """A signature names a key that the secret does not have, also after a fresh look."""


class Keyring:
    """Signs and checks short texts.

    The secret is a JSON object: `current` names the key that signs, every other member is a key.
    It is fetched at first use; an unknown key id fetches it again, at most once a minute, so
    that junk cannot turn into requests.

    Args:
        fetch: returns the secret's text; may raise anything.
        clock: milliseconds since the epoch.
    """

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._fetched_at = 0

    def current_id(self) -> str:
        """The id of the key that signs now."""
        return self._loaded()["current"]

    def sign(self, salt: str, value: str, key_id: str) -> str:
        """The signature, base64url, of a value under a salt that names its use."""
        return _signer(self._loaded()[key_id], salt).get_signature(value).decode()

    def verify(self, salt: str, value: str, signature: str, key_id: str) -> bool:
        """Whether the signature is ours.

        Raises:
            UnknownKeyIdError: no such key.
            Unavailable: the secret cannot be read (never an answer of 401).
        """
        keys = self._loaded()
        if key_id == "current" or key_id not in keys:
            keys = self._refetched()
        if key_id == "current" or key_id not in keys:
            raise UnknownKeyIdError(key_id)
        # Compared as text: base64 has several spellings of the same bytes, and only the one
        # that was issued is a key.
        expected = _signer(keys[key_id], salt).get_signature(value)
        return hmac.compare_digest(expected, signature.encode())

    def fingerprint(self, salt: str, value: str) -> bytes:
        """A keyed digest that cannot be searched without the secret."""
        key = self._loaded()["current"]
        secret = _signer(self._loaded()[key], salt).derive_key()
        return hmac.new(secret, value.encode(), hashlib.sha256).digest()

    def _loaded(self) -> dict[str, str]:
        return self._keys or self._read()

    def _refetched(self) -> dict[str, str]:
        if self._clock() - self._fetched_at < REFETCH_EVERY_MS:
            return self._keys
        return self._read()

    def _read(self) -> dict[str, str]:
        self._fetched_at = self._clock()
        try:
            keys = json.loads(self._fetch())
            usable = isinstance(keys, dict) and bool(keys.get(keys.get("current", "")))
        except Exception as error:
            # Whatever hides the secret is our fault, never the caller's: 503 and not 401.
            raise _no_secret(f"{type(error).__name__}") from error
        if not usable:
            raise _no_secret("the secret names no current key")
        self._keys = {str(name): str(key) for name, key in keys.items()}
        return self._keys


def _no_secret(cause: str) -> Unavailable:
    return Unavailable(
        "The signing secret cannot be read at the moment.",
        code="signing_secret_unavailable",
        cause=cause,
        seconds=5,
    )


def _signer(key: str, salt: str) -> Signer:
    # Named digest and derivation: itsdangerous' own defaults are SHA-1 and django-concat.
    return Signer(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
