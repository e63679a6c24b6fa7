"""Nothing is installed, and no token is shown to anybody, where a check fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.install_script.control_plane import ControlPlane, ReleaseKey
from tests.e2e.install_script.host import Host

Spoil = Callable[[ControlPlane], None]


def _set(plane: ControlPlane, before: bytes, after: bytes) -> None:
    assert plane.manifest is not None
    assert before in plane.manifest
    plane.manifest = plane.manifest.replace(before, after)


def _signed(plane: ControlPlane, *lines: str) -> None:
    plane.manifest = plane.key.signed(list(lines))


def other_key(plane: ControlPlane) -> None:
    fingerprint = plane.key
    plane.key = ReleaseKey()
    plane.publish()
    plane.key = fingerprint


def other_key_named_beside(plane: ControlPlane) -> None:
    right = plane.key
    other_key(plane)
    found = plane.key.signed(["x"]).split(b"\n")[1]
    assert plane.manifest is not None
    plane.manifest = found + b"\n" + plane.manifest
    plane.key = right


def unsigned(plane: ControlPlane) -> None:
    assert plane.manifest is not None
    plane.manifest = plane.manifest.split(b"signature ")[0]


def signature_of_nothing(plane: ControlPlane) -> None:
    unsigned(plane)
    assert plane.manifest is not None
    plane.manifest += b"signature AAAA\n"


def another_file_after_the_signature(plane: ControlPlane) -> None:
    plane.platforms = ()
    plane.publish()
    assert plane.manifest is not None
    plane.manifest += f"file linux x86_64 1 {'0' * 64}\nfile linux arm64 1 {'0' * 64}\n".encode()


def a_word_after_the_signature(plane: ControlPlane) -> None:
    assert plane.manifest is not None
    plane.manifest += b"file"


def a_binary_cut_off(plane: ControlPlane) -> None:
    plane.served = plane.binary[:-1]


def an_altered_binary(plane: ControlPlane) -> None:
    plane.served = plane.binary[:-2] + b"x\n"


def none_for_this_platform(plane: ControlPlane) -> None:
    plane.platforms = ("windows x86_64",)
    plane.publish()


def nothing_published(plane: ControlPlane) -> None:
    plane.manifest = None


def two_files_for_one_platform(plane: ControlPlane) -> None:
    plane.platforms = plane.platforms * 2
    plane.publish()


CASES: list[tuple[Spoil, str]] = [
    (other_key, "is signed with the key"),
    (other_key_named_beside, "not one that this script understands"),
    (lambda plane: _set(plane, b"version 1.2.3", b"version 1.2.4"), "signature of the manifest"),
    (lambda plane: _set(plane, b"file linux", b"file Linux"), "signature of the manifest"),
    (unsigned, "not one that this script understands"),
    (signature_of_nothing, "signature of the manifest"),
    (another_file_after_the_signature, "not one that this script understands"),
    (a_word_after_the_signature, "not one that this script understands"),
    (lambda plane: _set(plane, b"manifest 1\n", b"manifest 2\n"), "not one that this script"),
    (lambda plane: _signed(plane, "rollcall-agent-manifest 1", "version ../1"), "malformed"),
    (two_files_for_one_platform, "not one that this script understands"),
    (a_binary_cut_off, "it was cut or altered"),
    (an_altered_binary, "it was cut or altered"),
    (none_for_this_platform, "has not been published for linux"),
    (nothing_published, "404 agent_not_published"),
]


@pytest.mark.parametrize(
    ("spoil", "line"), CASES, ids=[f"{number}-{line}" for number, (_, line) in enumerate(CASES)]
)
def test_what_is_not_what_was_signed_is_not_installed(
    host: Host, plane: ControlPlane, spoil: Spoil, line: str
) -> None:
    spoil(plane)
    result = host.install()
    assert result.returncode == 1
    assert line in result.stderr
    assert not host.binary.exists()
    assert not host.config.exists()
    assert host.calls() == []
    assert list(host.temporary.iterdir()) == []


def test_a_pin_goes_before_what_came_with_the_script(host: Host, plane: ControlPlane) -> None:
    result = host.install(ROLLCALL_RELEASE_KEY_SHA256="0" * 64)
    assert result.returncode == 1
    assert f"signed with the key {plane.key.fingerprint}, not with {'0' * 64}" in result.stderr
    assert not host.binary.exists()
    fingerprint = plane.key.fingerprint
    script = plane.script().replace(fingerprint, "0" * 64)
    pinned = host.install(script=script, ROLLCALL_RELEASE_KEY_SHA256=fingerprint.upper())
    assert pinned.returncode == 0, pinned.stderr
    assert f"the pinned key {fingerprint}" in pinned.stdout


@pytest.mark.parametrize("filled", ["", "@ROLLCALL_RELEASE_KEY_" + "SHA256@", "abc"])
def test_without_a_fingerprint_the_check_is_not_left_out(
    host: Host, plane: ControlPlane, filled: str
) -> None:
    script = plane.script().replace(plane.key.fingerprint, filled)
    result = host.install(script=script)
    assert result.returncode == 2
    assert "no fingerprint of the release key is known" in result.stderr
    assert not host.binary.exists()


@pytest.mark.parametrize(
    ("code", "advice"),
    [(3, "have a fresh one minted"), (4, "with the same token"), (5, "could not be written"),
     (8, "wait for it"), (2, "the line above says why"), (6, "the line above says why")],
)  # fmt: skip
def test_a_refused_enrollment_ends_with_the_agents_code_and_advice(
    host: Host, code: int, advice: str
) -> None:
    host.fake("enroll.exit").write_text(f"{code}\n")
    result = host.install()
    assert result.returncode == code
    assert advice in result.stderr
    assert "online" not in result.stdout
    host.fake("enroll.exit").unlink()
    again = host.install()
    assert again.returncode == 0, again.stderr
    assert len(host.spent()) == 1


def test_a_refused_heartbeat_is_not_told_as_success(host: Host) -> None:
    host.fake("run.exit").write_text("3\n")
    result = host.install()
    assert result.returncode == 3
    assert "did not accept a heartbeat" in result.stderr
    assert "online" not in result.stdout


def test_a_heartbeat_without_an_answer_is_tried_again_for_a_while(host: Host) -> None:
    host.fake("run.exit").write_text("4\n")
    result = host.install()
    assert result.returncode == 4
    assert host.commands().count("run") > 1


def test_a_refused_replacement_keeps_the_identity(host: Host) -> None:
    assert host.install().returncode == 0
    host.fake("enroll.exit").write_text("3\n")
    assert host.install(ROLLCALL_FORCE_REENROLL="1").returncode == 3
    host.fake("enroll.exit").unlink()
    assert host.settings()["ROLLCALL_AGENT_ID"] == "agt_1"
    again = host.install(token=None)
    assert again.returncode == 0, again.stderr
    assert len(host.spent()) == 1
