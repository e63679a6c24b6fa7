import subprocess
import sys

import pytest

from chalicelib.credentials.password import (
    LANES,
    MEMORY_KIB,
    PASSES,
    Passwords,
    check_new,
    prepared,
)
from chalicelib.errors import Malformed

GOOD = "correct horse battery"


def test_a_password_is_its_own_and_no_other() -> None:
    passwords = Passwords()
    kept = passwords.hash(GOOD)
    assert passwords.verify(kept, GOOD)
    for other in (GOOD + " ", " " + GOOD, GOOD.upper(), GOOD[:-1], ""):
        assert not passwords.verify(kept, other)


def test_the_hash_is_argon2id_with_the_parameters_of_owasp_and_a_salt_of_its_own() -> None:
    passwords = Passwords()
    first, second = passwords.hash(GOOD), passwords.hash(GOOD)
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert (MEMORY_KIB, PASSES, LANES) == (19456, 2, 1)
    assert not passwords.is_outdated(first)
    assert passwords.is_outdated(first.replace("t=2", "t=1"))


@pytest.mark.parametrize("kept", [None, "", "no hash", "$argon2id$v=19$m=1,t=1,p=1$x$y"])
def test_what_is_no_hash_has_no_password(kept: str | None) -> None:
    assert not Passwords().verify(kept, GOOD)


@pytest.mark.parametrize(
    ("typed", "hashed"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b\u3000c", "a b c"),
        (" both ends ", " both ends "),
        ("\ufb01ne", "\ufb01ne"),
        ("\u212b", "\u00c5"),
        ("MiXed", "MiXed"),
    ],
)
def test_a_password_is_an_opaque_string(typed: str, hashed: str) -> None:
    assert prepared(typed) == hashed


@pytest.mark.parametrize(
    "good", ["x" * 12, "x" * 256, "\U0001f4a5" * 12, " " * 12, "e\u0301" * 256]
)
def test_a_new_password_may_be_long_and_of_any_script(good: str) -> None:
    check_new(good, "password")


@pytest.mark.parametrize(
    "bad", ["", "x" * 11, "x" * 257, "e\u0301" * 11, "x" * 12 + "\n", "\x00" * 12]
)
def test_a_new_password_that_cannot_be_used_is_refused_without_saying_it(bad: str) -> None:
    with pytest.raises(Malformed) as refused:
        check_new(bad, "password")
    assert refused.value.extra["errors"][0]["path"] == "password"
    assert not bad or bad not in str(refused.value.extra)


def test_the_hasher_is_not_imported_before_it_is_used() -> None:
    program = (
        "import sys; from chalicelib.credentials import password; password.Passwords();"
        " sys.exit('argon2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603
