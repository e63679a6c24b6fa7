"""The keyring: HMAC-SHA-256 under the stage's runtime signing secret, with explicit key ids."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable

from itsdangerous import Signer

from chalicelib.errors import Unavailable

REFETCH_EVERY_MS = 60_000
KEPT_MS = 300_000
_SHORTEST_KEY = 32
Fetch = Callable[[], str]
Clock = Callable[[], int]


class UnknownKeyIdError(Exception):
    """A signature names a key that the secret does not have, also after a fresh look."""


class Keyring:
    """Signs and checks short texts.

    The secret is a JSON object: `current` names the key that signs, every other member is a key.
    It is fetched at first use and every five minutes; an unknown key id fetches it again, at most
    once a minute, so that junk cannot turn into requests.

    Args:
        fetch: returns the secret's text; may raise anything.
        clock: milliseconds since the epoch.
    """

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._fetched_at = 0
        self._failed = False

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
        # Compared as text: base64 has several spellings of the same bytes, and only the one
        # that was issued is a key.
        expected = _signer(self._key(key_id), salt).get_signature(value)
        return hmac.compare_digest(expected, signature.encode())

    def material(self, key_id: str) -> bytes:
        """What keys for sealing are derived from; never used as a key itself.

        Raises:
            UnknownKeyIdError: no such key.
            Unavailable: the secret cannot be read.
        """
        return self._key(key_id).encode()

    def _key(self, key_id: str) -> str:
        keys = self._loaded()
        if key_id == "current" or key_id not in keys:
            keys = self._refetched()
        if key_id == "current" or key_id not in keys:
            raise UnknownKeyIdError(key_id)
        return keys[key_id]

    def _loaded(self) -> dict[str, str]:
        if not self._keys:
            return self._read()
        if self._clock() - self._fetched_at >= KEPT_MS:
            # So that a key which was added is known before it is made current. An outage of the
            # secret does not make a worker forget the keys that it has.
            with contextlib.suppress(Unavailable):
                return self._read()
        return self._keys

    def _refetched(self) -> dict[str, str]:
        if self._clock() - self._fetched_at >= REFETCH_EVERY_MS:
            return self._read()
        if self._failed:
            # The key may be one of those that could not be fetched: that is no verdict on it.
            raise _no_secret("the last look at it failed")
        return self._keys

    def _read(self) -> dict[str, str]:
        self._fetched_at, self._failed = self._clock(), True
        try:
            keys = json.loads(self._fetch())
        except Exception as error:
            # Whatever hides the secret is our fault, never the caller's: 503 and not 401.
            raise _no_secret(f"{type(error).__name__}") from error
        if not _usable(keys):
            raise _no_secret("it is not an object of keys, one of which is named as current")
        self._keys, self._failed = keys, False
        return self._keys


def _usable(keys: object) -> bool:
    """Whether a secret has keys that can sign: texts of some length, and a current one."""
    if not isinstance(keys, dict) or not isinstance(keys.get("current"), str):
        return False
    signing = {name: key for name, key in keys.items() if name != "current"}
    return keys["current"] in signing and all(
        isinstance(key, str) and len(key) >= _SHORTEST_KEY for key in signing.values()
    )


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
