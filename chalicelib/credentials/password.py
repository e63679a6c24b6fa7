"""Passwords: how they are read, and the slow hash that is all that is kept of them.

A password is what RFC 8265 calls an OpaqueString: every space is U+0020, and the form is NFC. It is
never trimmed, and its case counts. NFKC would make different passwords the same.
"""

import unicodedata
from typing import TYPE_CHECKING

from chalicelib.errors import Malformed

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 256
MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""OWASP's second choice for argon2id: 19 MiB and 2 passes. Its first, 46 MiB and 1 pass, takes more
than twice the time here, and a flood of logins more than twice the memory."""

# Of 128 random bits that nobody kept, under these very parameters: what is verified where there
# is no such person, so that the answer takes as long.
_NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$AnQqDAt8NVaN2xVLkelfzg"
    "$MVhqSmmDZSBGWA08Mc3R7VKALcmbNj9KjuERqVTvruk"
)


def prepared(password: str) -> str:
    """The password as it is hashed."""
    spaced = "".join(
        " " if unicodedata.category(character) == "Zs" else character for character in password
    )
    return unicodedata.normalize("NFC", spaced)


def check_new(password: str, member: str) -> None:
    """Refuse a new password that is too short, too long or not to be typed.

    Args:
        password: as it was sent.
        member: of the body, for the error.

    Raises:
        Malformed: it is.
    """
    text = prepared(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise _unfit(member, f"{SHORTEST} to {LONGEST} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise _unfit(member, "no control characters")


def _unfit(member: str, message: str) -> Malformed:
    return Malformed(
        "The password cannot be used.",
        extra={"errors": [{"path": member, "message": message}]},
    )


class Passwords:
    """Hashes and verifies; the only place that knows argon2, which is imported at first use."""

    _hasher: "PasswordHasher | None" = None

    def hash(self, password: str) -> str:
        """The hash to keep, with its parameters and a salt of its own."""
        return self._argon2().hash(prepared(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Whether this is the password; without a hash to compare with, as slowly, never."""
        from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

        try:
            self._argon2().verify(kept if kept is not None else _NOBODY, prepared(password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether a hash was made with other parameters than those of today."""
        return self._argon2().check_needs_rehash(kept)

    def _argon2(self) -> "PasswordHasher":
        if self._hasher is None:
            from argon2 import PasswordHasher, Type  # noqa: PLC0415

            self._hasher = PasswordHasher(PASSES, MEMORY_KIB, LANES, type=Type.ID)
        return self._hasher
