from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rollcall_agent.release_manifest import (
    LARGEST_MANIFEST,
    ManifestError,
    ReleaseFile,
    verified,
)

from tests.unit.agent.releases import Signer

LINES = [
    "rollcall-agent-manifest 1",
    "version 0.2.0",
    f"file linux x86_64 26028352 {'a' * 64}",
    f"file windows arm64 7 {'b' * 64}",
]


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def test_a_manifest_of_the_pinned_key_is_read(signer: Signer) -> None:
    manifest = verified(signer.sealed(LINES), signer.pin)
    assert manifest.version == "0.2.0"
    assert manifest.file_for("windows", "arm64") == ReleaseFile("windows", "arm64", 7, "b" * 64)


def test_a_platform_that_was_not_published_is_named(signer: Signer) -> None:
    with pytest.raises(ManifestError, match="no binary for darwin arm64"):
        verified(signer.sealed(LINES), signer.pin).file_for("darwin", "arm64")


def test_the_manifest_of_another_key_is_refused_however_well_it_is_signed(signer: Signer) -> None:
    with pytest.raises(ManifestError, match="another key"):
        verified(Signer().sealed(LINES), signer.pin)


def test_a_key_of_another_curve_is_refused_also_where_it_is_pinned() -> None:
    other = Signer(ec.SECP384R1())
    with pytest.raises(ManifestError, match="P-256"):
        verified(other.sealed(LINES), other.pin)


def test_each_changed_byte_of_what_is_signed_is_noticed(signer: Signer) -> None:
    content = signer.sealed(LINES)
    for place in range(content.index(b"\nsignature ") + 1):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(ManifestError):
            verified(bytes(changed), signer.pin)


@pytest.mark.parametrize(
    "forged",
    [
        lambda content: content + b"file linux arm64 1 " + b"c" * 64 + b"\n",
        lambda content: content + b"signature AAAA\n",
        lambda content: content[:-1],
        lambda content: content.replace(b"signature ", b"signature  "),
        lambda content: content.partition(b"\nsignature ")[0] + b"\n",
        lambda content: content[:0],
        lambda content: b"signature AAAA\n" + content,
        lambda content: content + b"\0" * LARGEST_MANIFEST,
    ],
)
def test_what_is_not_exactly_a_manifest_is_refused(forged: object, signer: Signer) -> None:
    assert callable(forged)
    with pytest.raises(ManifestError):
        verified(forged(signer.sealed(LINES)), signer.pin)


@pytest.mark.parametrize(
    "lines",
    [
        ["rollcall-agent-manifest 2", *LINES[1:]],
        [LINES[0], "version ../../x", LINES[2]],
        [LINES[0], LINES[1]],
        [*LINES, "expires never"],
        [*LINES, LINES[2]],
        [LINES[0], LINES[1], f"file linux x86_64 0 {'a' * 64}"],
        [LINES[0], LINES[1], f"file linux x86_64 9999999999999 {'a' * 64}"],
        [LINES[0], LINES[1], f"file linux x86_64 7 {'A' * 64}"],
    ],
)
def test_well_signed_nonsense_is_refused(lines: list[str], signer: Signer) -> None:
    with pytest.raises(ManifestError):
        verified(signer.sealed(lines), signer.pin)
