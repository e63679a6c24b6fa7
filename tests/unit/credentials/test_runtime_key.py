import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.credentials import runtime_key
from chalicelib.credentials.outcome import Rejected, Verified
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Unavailable

NOW = 1_780_000_000_000
SECRET = json.dumps({"current": "k1", "k1": "a" * 32, "k0": "b" * 32})
CLAIMS = RuntimeClaims(
    organization="org_" + "0" * 20,
    environment="env_" + "1" * 20,
    agent="agt_" + "2" * 20,
    collector="col_" + "3" * 20,
    asset="ast_" + "4" * 20,
    issued_at=NOW,
    expires_at=NOW + 1,
)
KEYRING = Keyring(lambda: SECRET, lambda: NOW)


def signed(fields: Any, key_id: str = "k1") -> str:
    """A key with any payload under the real secret."""
    raw = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    payload = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    stem = f"rca_{key_id}.{payload}"
    return f"{stem}.{KEYRING.sign('rollcall.runtime-key.v1', stem, key_id)}"


def test_what_is_issued_is_read_back_with_its_hash() -> None:
    raw = runtime_key.issue(KEYRING, CLAIMS)
    assert raw.startswith("rca_k1.")
    assert len(raw) <= runtime_key.MAX_LENGTH
    outcome = runtime_key.read(KEYRING, raw, NOW)
    assert outcome == Verified(replace(CLAIMS, digest=hashlib.sha256(raw.encode()).digest()))


def test_two_keys_with_the_same_claims_differ() -> None:
    assert runtime_key.issue(KEYRING, CLAIMS) != runtime_key.issue(KEYRING, CLAIMS)


def test_a_key_carries_256_random_bits() -> None:
    payload = runtime_key.issue(KEYRING, CLAIMS).split(".")[1]
    fields = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert len(base64.urlsafe_b64decode(fields[-1] + "=")) == 32


@pytest.mark.parametrize(("moment", "expired"), [(NOW, False), (NOW + 1, True), (NOW + 2, True)])
def test_a_key_ends_at_its_very_millisecond(moment: int, expired: bool) -> None:
    outcome = runtime_key.read(KEYRING, runtime_key.issue(KEYRING, CLAIMS), moment)
    assert (outcome == Rejected("key_expired")) is expired


def test_every_single_change_is_noticed() -> None:
    raw = runtime_key.issue(KEYRING, CLAIMS)
    for place in range(len(raw)):
        for letter in "Ab0_-=.":
            changed = raw[:place] + letter + raw[place + 1 :]
            if changed != raw:
                assert runtime_key.read(KEYRING, changed, NOW) == Rejected("key_invalid")


def test_a_key_under_an_older_key_of_the_ring_is_read() -> None:
    fields = ["0" * 20, "1" * 20, "2" * 20, "3" * 20, "4" * 20, NOW, NOW + 1, "x"]
    assert isinstance(runtime_key.read(KEYRING, signed(fields, "k0"), NOW), Verified)


@pytest.mark.parametrize(
    "raw",
    [
        "", "rca_", "rca_.", "rca_..", "rca_k1..", "rca_k1.a.b.c", "rca_k9.e30.x",
        "rca_current.e30.x",
        "rca_k1.e30.\u0660", "x" * 1_000_000, "rca_" + "." * 600, "rce_k1.e30.x", "RCA_k1.e30.x",
        "rca_\u20ac.e30.x",
    ],
)  # fmt: skip
def test_junk_is_rejected(raw: str) -> None:
    assert runtime_key.read(KEYRING, raw, NOW) == Rejected("key_invalid")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_junk_never_raises(junk: str) -> None:
    for raw in (junk, f"rca_{junk}", f"rca_k1.{junk}", f"rca_k1.e30.{junk}"):
        assert runtime_key.read(KEYRING, raw, NOW) == Rejected("key_invalid")


@pytest.mark.parametrize(
    "fields",
    [b"", b"\xff", b"{", {}, [], None, 7, "x", [1] * 7, [1] * 9, ["a"] * 8,
     ["0" * 20] * 5 + ["then", "now", "x"]],
)  # fmt: skip
def test_a_signed_payload_of_another_form_is_rejected(fields: Any) -> None:
    assert runtime_key.read(KEYRING, signed(fields), NOW) == Rejected("key_invalid")


def test_an_unreadable_secret_is_no_verdict_on_the_key() -> None:
    broken = Keyring(lambda: "", lambda: NOW)
    with pytest.raises(Unavailable):
        runtime_key.read(broken, runtime_key.issue(KEYRING, CLAIMS), NOW)


def test_a_key_of_another_ring_is_rejected() -> None:
    other = Keyring(lambda: json.dumps({"current": "k1", "k1": "c" * 32}), lambda: NOW)
    assert runtime_key.read(other, runtime_key.issue(KEYRING, CLAIMS), NOW) == Rejected(
        "key_invalid"
    )
