import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import ids
from chalicelib.credentials import enrollment_token, opaque, organization_key
from chalicelib.credentials.opaque import OpaqueFamily
from chalicelib.credentials.outcome import Rejected, Verified

FAMILIES = (enrollment_token.FAMILY, organization_key.FAMILY)
ORGANIZATION = "org_" + "0123456789abcdefghij"
TOKEN = "tok_" + "klmnopqrstuv01234567"
GOLDEN = "rce_0123456789abcdefghij_klmnopqrstuv01234567_" + "0" * 52 + "t7qb4bo"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_issued_is_read_back(family: OpaqueFamily) -> None:
    organization, identifier = ids.new(ids.ORGANIZATION), ids.new(family.kind)
    raw = family.issue(organization, identifier)
    assert raw.startswith(family.prefix)
    assert len(raw) == opaque.MAX_LENGTH
    outcome = family.read(raw)
    assert isinstance(outcome, Verified)
    assert outcome.claims.organization == organization
    assert outcome.claims.id == identifier
    assert outcome.claims.digest == hashlib.sha256(raw.encode()).digest()


def test_two_secrets_of_one_row_differ_in_their_random_part() -> None:
    first, second = (enrollment_token.FAMILY.issue(ORGANIZATION, TOKEN) for _ in range(2))
    assert first[:46] == second[:46]
    assert first[46:98] != second[46:98]


def test_the_form_is_pinned() -> None:
    outcome = enrollment_token.FAMILY.read(GOLDEN)
    assert isinstance(outcome, Verified)
    assert (outcome.claims.organization, outcome.claims.id) == (ORGANIZATION, TOKEN)
    assert len(GOLDEN) == 105


def test_every_family_has_a_prefix_of_its_own() -> None:
    assert len({family.prefix for family in FAMILIES}) == len(FAMILIES)


def test_a_secret_of_one_family_is_none_of_another() -> None:
    for family in FAMILIES:
        raw = family.issue(ORGANIZATION, ids.new(family.kind))
        for other in FAMILIES:
            if other is not family:
                assert other.read(raw) == Rejected("credential_invalid")
                disguised = other.prefix + raw[4:]
                assert other.read(disguised) == Rejected("credential_invalid")


def test_every_single_change_is_noticed() -> None:
    for place in range(len(GOLDEN)):
        for letter in "0v_A":
            changed = GOLDEN[:place] + letter + GOLDEN[place + 1 :]
            if changed != GOLDEN:
                assert enrollment_token.FAMILY.read(changed) == Rejected("credential_invalid")


@given(st.text(max_size=300))
def test_junk_is_rejected_and_never_raises(junk: str) -> None:
    for family in FAMILIES:
        assert family.read(junk) == Rejected("credential_invalid")
        assert family.read(family.prefix + junk) == Rejected("credential_invalid")


@pytest.mark.parametrize(
    "raw",
    [
        "", "rce_", GOLDEN.upper(), GOLDEN + "\n", " " + GOLDEN, GOLDEN[:-1], GOLDEN + "0",
        GOLDEN[:-1] + "\u0660", "\ud800" * 105, "\x00" * 105, "rce_" + "0" * 101, "x" * 1_000_000,
    ],
)  # fmt: skip
def test_what_is_nearly_a_secret_is_rejected(raw: str) -> None:
    assert enrollment_token.FAMILY.read(raw) == Rejected("credential_invalid")


def test_claims_do_not_show_the_secret() -> None:
    outcome = enrollment_token.FAMILY.read(GOLDEN)
    assert GOLDEN not in repr(outcome)
    assert "0" * 52 not in repr(outcome)
