"""Sealing: AES-256-GCM under a key of the stage's signing secret, for what must be read again.

Every sealed text has a key of its own, derived by HKDF-SHA-256 with a random salt from a key of
the keyring, whose id is recorded: so no nonce ever repeats, however many are sealed, and a new
signing key does not make the older ones unreadable.
"""

import base64
import binascii
import secrets
from typing import TYPE_CHECKING

from chalicelib.credentials.signing import Keyring, UnknownKeyIdError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = "s1"
_SALT_BYTES = 24
_PARTS = 3
_KEY_BYTES = 32
_NONCE_BYTES = 12
_LONGEST = 16 * 1024


class UnsealableError(Exception):
    """A sealed text of which nothing can be had: altered, of another purpose, or its key gone."""


def seal(keyring: Keyring, purpose: str, content: bytes, bound_to: str = "") -> str:
    """Seal a content.

    Args:
        keyring: holds the signing secret.
        purpose: names the use; what is sealed for one cannot be opened for another.
        content: what to hide.
        bound_to: where it belongs; opening it needs the same text.

    Raises:
        Unavailable: the signing secret cannot be read.
    """
    key_id = keyring.current_id()
    salt = secrets.token_bytes(_SALT_BYTES)
    cipher, nonce = _cipher(keyring, purpose, key_id, salt)
    sealed = cipher.encrypt(nonce, content, _bound(purpose, key_id, bound_to))
    return f"{_VERSION}.{key_id}.{base64.urlsafe_b64encode(salt + sealed).decode().rstrip('=')}"


def unseal(keyring: Keyring, purpose: str, text: str, bound_to: str = "") -> bytes:
    """The content of a sealed text.

    Raises:
        UnsealableError: it was not sealed by us, for this purpose and this place.
        Unavailable: the signing secret cannot be read.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415

    parts = text.split(".")
    if len(parts) != _PARTS or parts[0] != _VERSION or len(text) > _LONGEST:
        raise UnsealableError("malformed")
    _, key_id, encoded = parts
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        cipher, nonce = _cipher(keyring, purpose, key_id, raw[:_SALT_BYTES])
        return cipher.decrypt(nonce, raw[_SALT_BYTES:], _bound(purpose, key_id, bound_to))
    except (UnknownKeyIdError, InvalidTag, binascii.Error, ValueError) as error:
        raise UnsealableError(type(error).__name__) from error


def _cipher(keyring: Keyring, purpose: str, key_id: str, salt: bytes) -> tuple["AESGCM", bytes]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    derivation = HKDF(SHA256(), _KEY_BYTES + _NONCE_BYTES, salt, f"rollcall.{purpose}.v1".encode())
    derived = derivation.derive(keyring.material(key_id))
    return AESGCM(derived[:_KEY_BYTES]), derived[_KEY_BYTES:]


def _bound(purpose: str, key_id: str, bound_to: str) -> bytes:
    return f"{purpose}\n{key_id}\n{bound_to}".encode()
