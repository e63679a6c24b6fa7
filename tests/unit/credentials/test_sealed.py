"""What is sealed can be opened by us, for its purpose and its place, and by nobody else."""

import json

import pytest

from chalicelib.credentials.sealed import UnsealableError, seal, unseal
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Unavailable

OLD, NEW = "o" * 40, "n" * 40


def keyring(**keys: str) -> Keyring:
    return Keyring(lambda: json.dumps(keys), lambda: 0)


BOTH = {"k1": OLD, "k2": NEW}


def test_what_was_sealed_is_opened_again() -> None:
    ring = keyring(current="k1", **BOTH)
    text = seal(ring, "test", b"a secret", "here")
    assert unseal(ring, "test", text, "here") == b"a secret"
    assert b"a secret" not in text.encode()
    assert "YSBzZWNyZXQ" not in text


def test_the_same_content_never_looks_the_same() -> None:
    ring = keyring(current="k1", **BOTH)
    assert len({seal(ring, "test", b"x") for _ in range(50)}) == 50


def test_the_key_id_is_recorded_so_that_a_new_key_does_not_hide_what_is_old() -> None:
    text = seal(keyring(current="k1", **BOTH), "test", b"x")
    assert text.split(".")[1] == "k1"
    assert unseal(keyring(current="k2", **BOTH), "test", text) == b"x"


def test_a_key_that_is_gone_is_no_content() -> None:
    text = seal(keyring(current="k1", **BOTH), "test", b"x")
    with pytest.raises(UnsealableError):
        unseal(keyring(current="k2", k2=NEW), "test", text)


def test_another_stages_key_of_the_same_name_opens_nothing() -> None:
    text = seal(keyring(current="k1", **BOTH), "test", b"x")
    with pytest.raises(UnsealableError):
        unseal(keyring(current="k1", k1=NEW), "test", text)


def test_neither_another_purpose_nor_another_place_opens_it() -> None:
    ring = keyring(current="k1", **BOTH)
    text = seal(ring, "test", b"x", "here")
    for purpose, place in (("other", "here"), ("test", "there"), ("test", "")):
        with pytest.raises(UnsealableError):
            unseal(ring, purpose, text, place)


def test_every_changed_character_is_noticed() -> None:
    ring = keyring(current="k1", **BOTH)
    text = seal(ring, "test", b"content")
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        try:
            opened = unseal(ring, "test", changed)
        except UnsealableError:
            continue
        # The last character of base64 carries bits that mean nothing.
        assert place == len(text) - 1
        assert opened == b"content"


@pytest.mark.parametrize(
    "junk",
    ["", "s1", "s1.k1", "s1.k1.", "s1.k1.AAAA", "s2.k1.AAAA", "s1.k1.é", "s1.current.AA", "." * 9],
)
def test_junk_is_refused(junk: str) -> None:
    with pytest.raises(UnsealableError):
        unseal(keyring(current="k1", **BOTH), "test", junk)


def test_an_unreadable_signing_secret_is_our_fault_and_no_verdict() -> None:
    text = seal(keyring(current="k1", **BOTH), "test", b"x")

    def broken() -> str:
        raise OSError

    with pytest.raises(Unavailable):
        unseal(Keyring(broken, lambda: 0), "test", text)
