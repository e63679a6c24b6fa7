import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from chalicelib.credentials.signing import KEPT_MS, REFETCH_EVERY_MS, Keyring, UnknownKeyIdError
from chalicelib.errors import Unavailable


class Secret:
    """A secret that counts how often it is asked for."""

    def __init__(self, **keys: str) -> None:
        self.keys: Any = keys
        self.asked = 0
        self.error: Exception | None = None

    def __call__(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.keys if isinstance(self.keys, str) else json.dumps(self.keys)


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def secret() -> Secret:
    return Secret(current="k1", k1="a" * 32)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(secret: Secret, clock: Clock) -> Keyring:
    return Keyring(secret, clock)


def test_what_is_signed_is_verified_under_its_salt_and_key(keyring: Keyring) -> None:
    signature = keyring.sign("salt", "value", "k1")
    assert keyring.verify("salt", "value", signature, "k1")
    assert not keyring.verify("other", "value", signature, "k1")
    assert not keyring.verify("salt", "valuf", signature, "k1")


def test_the_signature_is_hmac_sha_256_under_a_derived_key(keyring: Keyring) -> None:
    derived = hmac.new(b"a" * 32, b"salt", hashlib.sha256).digest()
    expected = hmac.new(derived, b"value", hashlib.sha256).digest()
    text = base64.urlsafe_b64encode(expected).decode().rstrip("=")
    assert keyring.sign("salt", "value", "k1") == text


@pytest.mark.parametrize(
    "spelling",
    [lambda s: s + "=", lambda s: s[:-1], lambda s: s + "A", lambda _: "", lambda s: s.upper(),
     lambda s: s[:-1] + chr(ord(s[-1]) + 1)],
)  # fmt: skip
def test_only_the_signature_that_was_issued_is_one(keyring: Keyring, spelling: Any) -> None:
    signature = keyring.sign("salt", "value", "k1")
    assert spelling(signature) != signature
    assert not keyring.verify("salt", "value", spelling(signature), "k1")


def test_the_secret_is_fetched_once_in_five_minutes(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    for _ in range(5):
        keyring.sign("salt", "value", keyring.current_id())
        clock.now += KEPT_MS // 5
    assert secret.asked == 1
    keyring.sign("salt", "value", keyring.current_id())
    assert secret.asked == 2


def test_a_key_that_was_added_is_known_before_it_is_made_current(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    keyring.current_id()
    secret.keys = {"current": "k1", "k1": "a" * 32, "k2": "b" * 32}
    clock.now += KEPT_MS
    assert keyring.current_id() == "k1"
    assert not keyring.verify("salt", "value", "x", "k2")


def test_an_outage_at_the_regular_look_changes_nothing(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    signature = keyring.sign("salt", "value", "k1")
    secret.error = TimeoutError()
    clock.now += KEPT_MS
    assert keyring.verify("salt", "value", signature, "k1")


def test_an_unknown_key_is_looked_for_again_at_most_once_a_minute(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    keyring.current_id()
    for moment in (0, 1, REFETCH_EVERY_MS - 1):
        clock.now = 1_000_000 + moment
        with pytest.raises(UnknownKeyIdError):
            keyring.verify("salt", "value", "x", "k2")
    assert secret.asked == 1
    clock.now = 1_000_000 + REFETCH_EVERY_MS
    for _ in range(3):
        with pytest.raises(UnknownKeyIdError):
            keyring.verify("salt", "value", "x", "k2")
    assert secret.asked == 2


def test_a_key_that_came_by_rotation_is_found(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    old = keyring.sign("salt", "value", "k1")
    secret.keys = {"current": "k2", "k1": "a" * 32, "k2": "b" * 32}
    new = Keyring(secret, clock).sign("salt", "value", "k2")
    clock.now += REFETCH_EVERY_MS
    assert keyring.verify("salt", "value", new, "k2")
    assert keyring.verify("salt", "value", old, "k1")
    assert keyring.current_id() == "k2"


def test_the_name_of_the_current_key_is_no_key(keyring: Keyring, clock: Clock) -> None:
    clock.now += REFETCH_EVERY_MS
    with pytest.raises(UnknownKeyIdError):
        keyring.verify("salt", "value", "x", "current")


@pytest.mark.parametrize(
    "keys", ["", "x", "[]", "null", "7", "{}", '{"current": "k1"}', '{"k1": "a"}',
             '{"current": "k1", "k1": ""}', '{"current": null, "k1": "a"}', '{"current": ["k1"]}',
             '{"current": "current"}', '{"current": "k1", "k1": 7}',
             '{"current": "k1", "k1": "short"}',
             '{"current": "k1", "k1": "' + "a" * 32 + '", "k2": ["' + "b" * 32 + '"]}'],
)  # fmt: skip
def test_a_secret_that_names_no_key_is_our_fault(
    keyring: Keyring, secret: Secret, keys: str
) -> None:
    secret.keys = keys
    for use in (
        keyring.current_id,
        lambda: keyring.sign("salt", "value", "k1"),
        lambda: keyring.verify("salt", "value", "x", "k1"),
    ):
        with pytest.raises(Unavailable) as raised:
            use()
        assert raised.value.code == "signing_secret_unavailable"


def test_an_outage_is_no_verdict_and_is_over_when_it_is_over(
    keyring: Keyring, secret: Secret
) -> None:
    secret.error = TimeoutError("a private cause")
    with pytest.raises(Unavailable) as raised:
        keyring.verify("salt", "value", "x", "k1")
    assert "private" not in raised.value.detail
    secret.error = None
    assert not keyring.verify("salt", "value", "x", "k1")


def test_an_outage_of_the_secret_does_not_forget_the_known_keys(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    signature = keyring.sign("salt", "value", "k1")
    clock.now += REFETCH_EVERY_MS
    secret.error = TimeoutError()
    with pytest.raises(Unavailable):
        keyring.verify("salt", "value", "x", "k2")
    assert keyring.verify("salt", "value", signature, "k1")


def test_a_failed_look_for_an_unknown_key_stays_our_fault_until_the_next_look(
    keyring: Keyring, secret: Secret, clock: Clock
) -> None:
    keyring.current_id()
    clock.now += REFETCH_EVERY_MS
    secret.error = TimeoutError()
    for _ in range(2):
        with pytest.raises(Unavailable):
            keyring.verify("salt", "value", "x", "k2")
        clock.now += 1
    secret.error = None
    clock.now += REFETCH_EVERY_MS
    with pytest.raises(UnknownKeyIdError):
        keyring.verify("salt", "value", "x", "k2")
