from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.flows import admission

NOW = 1_000


def row(**changed: Any) -> Any:
    """A token's row that admits everybody."""
    good = {
        "status": "active", "expires_at": NOW + 1, "uses": 0, "max_uses": 1, "hostname": None,
        "source_cidrs": [], "digest": b"d" * 32,
    }  # fmt: skip
    return SimpleNamespace(**{**good, **changed})


def reason(found: Any, hostname: str = "h", address: str | None = "192.0.2.1") -> str | None:
    """The code of the refusal, if there is one."""
    error = admission.refusal(found, hostname=hostname, source_address=address, now=NOW)
    return error.code if error is not None else None


def test_a_good_token_admits() -> None:
    assert reason(row()) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "revoked"}, "token_revoked"),
        ({"status": "frozen"}, "token_not_active"),
        ({"status": None}, "token_not_active"),
        ({"expires_at": NOW}, "token_expired"),
        ({"expires_at": NOW - 1}, "token_expired"),
        ({"uses": 1}, "token_spent"),
        ({"uses": 2}, "token_spent"),
        ({"hostname": "other"}, "hostname_mismatch"),
        ({"source_cidrs": ["10.0.0.0/8"]}, "source_address_refused"),
    ],
)
def test_each_reason_has_its_code(changed: dict[str, Any], code: str) -> None:
    assert reason(row(**changed)) == code


def test_the_reasons_are_told_in_a_fixed_order() -> None:
    changed: dict[str, Any] = {
        "status": "revoked", "expires_at": NOW, "uses": 1, "hostname": "other",
        "source_cidrs": ["10.0.0.0/8"],
    }  # fmt: skip
    mended = {
        "status": "active", "expires_at": NOW + 1, "uses": 0, "hostname": "h",
        "source_cidrs": ["192.0.2.0/24"],
    }  # fmt: skip
    told = []
    for name, value in mended.items():
        told.append(reason(row(**changed)))
        changed[name] = value
    assert told == [
        "token_revoked", "token_expired", "token_spent", "hostname_mismatch",
        "source_address_refused",
    ]  # fmt: skip
    assert reason(row(**changed)) is None


@pytest.mark.parametrize(
    ("cidrs", "address", "admitted"),
    [
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.7/32"], "192.0.2.7", True),
        (["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["2001:db8::/32"], "192.0.2.1", False),
        (["192.0.2.0/24"], "2001:db8::1", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.1", True),
        (["::/0"], "::ffff:192.0.2.1", False),
        (["0.0.0.0/0"], None, False),
        (["0.0.0.0/0"], "", False),
        (["0.0.0.0/0"], "unknown", False),
        (["0.0.0.0/0"], "192.0.2.1, 10.0.0.1", False),
    ],
)
def test_a_source_address_must_be_inside(
    cidrs: list[str],
    address: str | None,
    admitted: bool,
) -> None:
    expected = None if admitted else "source_address_refused"
    assert reason(row(source_cidrs=cidrs), address=address) == expected


def test_hostnames_are_compared_without_regard_to_case() -> None:
    assert reason(row(hostname="edge-1"), hostname="EDGE-1") is None
    assert reason(row(hostname="edge-1"), hostname="edge-1.example") == "hostname_mismatch"


def test_only_the_very_secret_holds() -> None:
    assert admission.holds_secret(row(), b"d" * 32)
    assert not admission.holds_secret(row(), b"e" * 32)
    assert not admission.holds_secret(row(), b"d" * 31)
    assert not admission.holds_secret(row(digest=None), b"d" * 32)
    assert not admission.holds_secret(None, b"d" * 32)


def test_whoever_holds_nothing_learns_one_thing() -> None:
    error = admission.not_the_holder()
    assert (error.status, error.code) == (401, "credential_invalid")
