"""There is one way to write a manifest, and what is written otherwise is none."""

import base64
import re

import msgspec
import pytest

from chalicelib.release_manifest import (
    FIRST_LINE,
    LARGEST,
    Binary,
    Manifest,
    ManifestError,
    Platform,
    parsed,
    platform_of,
    unsigned,
)

KEY = b"the public key"


def a_manifest(version: str = "0.2.0") -> Manifest:
    binaries = {
        Platform("windows", "x86_64"): Binary(7, "b" * 64),
        Platform("linux", "x86_64"): Binary(26_028_352, "a" * 64),
    }
    made = unsigned(version, binaries, KEY)
    return msgspec.structs.replace(made, signature=b"the signature")


def test_it_is_written_line_by_line() -> None:
    assert a_manifest().content.decode() == (
        "rollcall-agent-manifest 1\n"
        "version 0.2.0\n"
        f"file linux x86_64 26028352 {'a' * 64}\n"
        f"file windows x86_64 7 {'b' * 64}\n"
        f"key {base64.b64encode(KEY).decode()}\n"
        f"signature {base64.b64encode(b'the signature').decode()}\n"
    )


def test_what_is_signed_ends_before_the_line_of_the_signature() -> None:
    made = a_manifest()
    assert made.content[: len(made.signed)] == made.signed
    assert made.content[len(made.signed) :].startswith(b"signature ")


def test_what_was_written_is_read() -> None:
    assert parsed(a_manifest().content) == a_manifest()


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (r"manifest 1", "manifest 2"),
        (r"version 0\.2\.0", "version ../x"),
        (r"version 0\.2\.0", "0.2.0"),
        (r"\n", "\r\n"),
        (r"\n$", ""),
        (r"$", "more\n"),
        (r"\nkey", "\n\nkey"),
        (r"26028352", "026028352"),
        (r"26028352", "-1"),
        (r"26028352", "9999999999999"),
        (r"a{64}", "A" * 64),
        (r"a{64}", "a" * 63),
        (r"linux x86_64", "linux  x86_64"),
        (r"linux x86_64", "linux amd64"),
        (r"windows", "beos"),
        (r"windows", "linux"),
        (r"(file linux.*)\n(file windows.*)\n", r"\2\n\1\n"),
        (r"file linux.*\n", "cmd rm\n"),
        (r"key [^\n]*", "key !!"),
        (r"key [^\n]*", "key"),
        (r"signature [^\n]*", "signature x"),
        (r"signature ", "sig "),
        (r"0\.2\.0", "0.2.0é"),
    ],
)
def test_what_is_written_otherwise_is_refused(pattern: str, instead: str) -> None:
    text = a_manifest().content.decode()
    changed = re.sub(pattern, instead, text, count=0 if instead == "\r\n" else 1)
    assert changed != text
    with pytest.raises(ManifestError):
        parsed(changed.encode())


def test_what_is_too_large_is_not_even_read() -> None:
    line = f"file linux x86_64 1 {'a' * 64}\n".encode()
    with pytest.raises(ManifestError, match="too large"):
        parsed(FIRST_LINE.encode() + b"\n" + line * (LARGEST // len(line) + 1))


@pytest.mark.parametrize("version", ["1", "0.2.0", "0.2.0-rc.1+build.5", "A" * 64])
def test_versions_are_plain_words(version: str) -> None:
    assert parsed(a_manifest(version).content).version == version


@pytest.mark.parametrize(
    ("os", "arch", "expected"),
    [
        ("linux", "x86_64", Platform("linux", "x86_64")),
        ("Linux", "aarch64", Platform("linux", "arm64")),
        ("Darwin", "arm64", Platform("darwin", "arm64")),
        ("Windows", "AMD64", Platform("windows", "x86_64")),
        ("windows", "x64", Platform("windows", "x86_64")),
        ("linux", "i686", None),
        ("sunos", "x86_64", None),
    ],
)
def test_systems_name_themselves_in_several_ways(
    os: str, arch: str, expected: Platform | None
) -> None:
    assert platform_of(os, arch) == expected
