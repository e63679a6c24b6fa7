import hashlib
import re

import pytest

from chalicelib import ids

KINDS = (
    ids.ORGANIZATION, ids.PROJECT, ids.ENVIRONMENT, ids.ORGANIZATION_KEY, ids.ENROLLMENT_TOKEN,
    ids.AGENT, ids.COLLECTOR, ids.ASSET, ids.CERTIFICATE, ids.ARTIFACT, ids.JOB, ids.AUDIT_RECORD,
)  # fmt: skip


def test_no_two_kinds_look_alike() -> None:
    assert len(set(KINDS)) == len(KINDS)
    assert all(re.fullmatch("[a-z]{3}", kind) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_identifier_is_one_of_its_kind_and_of_no_other(kind: str) -> None:
    made = ids.new(kind)
    assert re.fullmatch(rf"{kind}_[0-9a-v]{{20}}", made)
    assert [other for other in KINDS if ids.is_a(other, made)] == [kind]


def test_new_identifiers_differ() -> None:
    assert len({ids.new("agt") for _ in range(1_000)}) == 1_000


def test_the_same_digest_names_the_same_identifier() -> None:
    digest = hashlib.sha256(b"seed").digest()
    assert ids.derived("job", digest) == "job_36p5gln1o58cl0qcvv4b"
    assert ids.derived("job", digest) != ids.derived("job", hashlib.sha256(b"other").digest())
    assert ids.is_a("job", ids.derived("job", digest))


def test_the_body_is_what_follows_the_kind() -> None:
    assert ids.body("agt_0123") == "0123"


@pytest.mark.parametrize(
    "text",
    [
        "", "agt", "agt_", "agt_" + "0" * 19, "agt_" + "0" * 21, "AGT_" + "0" * 20,
        "agt_" + "0" * 20 + "\n", "\nagt_" + "0" * 20, "agt_" + "w" * 20, "agt_" + "A" * 20,
        "agt_" + "\u0660" * 20, "tok_" + "0" * 20, "agt_" + "0" * 19 + "#", "../agt_" + "0" * 20,
    ],
)  # fmt: skip
def test_what_only_resembles_an_identifier_is_none(text: str) -> None:
    assert not ids.is_a("agt", text)


def test_the_encoding_is_pinned() -> None:
    assert ids.base32(b"\x00" * 5) == "00000000"
    assert ids.base32(b"\xff" * 5) == "vvvvvvvv"
    assert ids.base32(b"rollcall") == "e9nmor33c5m6o"
