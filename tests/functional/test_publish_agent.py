"""`publish-agent`: signed, whole or not at all, and never other bytes under the same version."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from chalicelib.release_manifest import fingerprint
from infra import __main__, release_key
from infra.errors import DeployError
from infra.publish_agent import publish
from infra.release_store import ReleaseStore
from infra.target import Target
from tests.functional.releases import LINUX, LINUX_ARM, STAGE, WINDOWS, Releases


@pytest.fixture
def releases(stack: dict[str, str], tmp_path: Path) -> Iterator[Releases]:
    made = Releases(stack, tmp_path)
    yield made
    made.clear()


class BrokenOff(Target):
    """A stage whose bucket takes some writes, and then is not reached any more."""

    writes: int

    def client(self, service: str) -> Any:
        client = super().client(service)
        if service == "s3":
            client.meta.events.register("before-call.s3.PutObject", self._refuse)
        return client

    def _refuse(self, **_: Any) -> None:
        object.__setattr__(self, "writes", self.writes - 1)
        if self.writes < 0:
            raise EndpointConnectionError(endpoint_url="https://s3.invalid")


def broken_off(writes: int) -> BrokenOff:
    target = BrokenOff(STAGE, os.environ)
    object.__setattr__(target, "writes", writes)
    return target


def test_anyone_can_verify_the_manifest_offline(releases: Releases, stack: dict[str, str]) -> None:
    releases.publish("0.2.0", {WINDOWS: b"windows", LINUX: b"linux"})
    content = releases.read("0.2.0/manifest")
    assert content is not None
    signed, _, line = content.rpartition(b"signature ")
    lines = signed.decode().splitlines()
    assert lines[:2] == ["rollcall-agent-manifest 1", "version 0.2.0"]
    assert [row.split()[:4] for row in lines[2:-1]] == [
        ["file", "linux", "x86_64", "5"],
        ["file", "windows", "x86_64", "7"],
    ]
    name, _, encoded = lines[-1].partition(" ")
    assert name == "key"
    der = base64.b64decode(encoded)
    assert der == boto3.client("kms").get_public_key(KeyId=stack["ReleaseKeyArn"])["PublicKey"]
    assert releases.said[-1] == f"release key: {fingerprint(der)}"
    key = load_der_public_key(der)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(line)
    key.verify(signature, signed, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, signed.replace(b"0.2.0", b"0.2.1"), ec.ECDSA(SHA256()))


def test_the_binaries_are_stored_and_the_version_is_in_force(releases: Releases) -> None:
    manifest = releases.publish("0.2.0", {LINUX: b"linux", WINDOWS: b"windows"})
    assert releases.binary("0.2.0", LINUX, b"linux") == b"linux"
    assert releases.binary("0.2.0", WINDOWS, b"windows") == b"windows"
    assert releases.read("0.2.0/manifest") == releases.read("latest/manifest") == manifest.content


def test_a_version_can_be_published_without_being_put_in_force(releases: Releases) -> None:
    old = releases.publish("0.2.0", {LINUX: b"linux"})
    new = releases.publish("0.3.0", {LINUX: b"newer"}, latest=False)
    assert releases.read("latest/manifest") == old.content
    assert releases.read("0.3.0/manifest") == new.content


def test_other_bytes_under_the_same_version_are_refused(releases: Releases) -> None:
    old = releases.publish("0.2.0", {LINUX: b"linux"})
    with pytest.raises(DeployError, match=r"0\.2\.0 was published for linux/x86_64 with other"):
        releases.publish("0.2.0", {LINUX: b"LINUX", LINUX_ARM: b"arm"})
    assert releases.binary("0.2.0", LINUX, b"linux") == b"linux"
    assert releases.binary("0.2.0", LINUX_ARM, b"arm") is None
    assert releases.read("latest/manifest") == releases.read("0.2.0/manifest") == old.content


def test_added_platforms_join_those_that_were_published(releases: Releases) -> None:
    releases.publish("0.2.0", {LINUX: b"linux"})
    manifest = releases.publish("0.2.0", {LINUX: b"linux", LINUX_ARM: b"arm"})
    assert manifest.platforms == ["linux/arm64", "linux/x86_64"]
    assert release_key.verifies(manifest, manifest.signature)
    assert releases.read("latest/manifest") == manifest.content
    later = releases.publish("0.2.0", {WINDOWS: b"w"})
    assert later.platforms == ["linux/arm64", "linux/x86_64", "windows/x86_64"]


def test_publishing_the_same_again_changes_nothing(releases: Releases) -> None:
    first = releases.publish("0.2.0", {LINUX: b"linux"})
    assert releases.publish("0.2.0", {LINUX: b"linux"}) == first
    assert not [line for line in releases.said if "uploading" in line]
    assert releases.read("0.2.0/manifest") == first.content


def test_a_version_of_before_is_put_in_force_again(releases: Releases) -> None:
    old = releases.publish("0.2.0", {LINUX: b"linux"})
    releases.publish("0.3.0", {LINUX: b"newer"})
    releases.publish("0.2.0", {})
    assert releases.read("latest/manifest") == old.content
    with pytest.raises(DeployError, match="was not published"):
        releases.publish("0.4.0", {})
    assert releases.read("latest/manifest") == old.content


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_publish_that_is_broken_off_leaves_the_former_version_in_force(
    releases: Releases, writes: int
) -> None:
    old = releases.publish("0.2.0", {LINUX: b"linux"})
    files = {LINUX: releases.file(LINUX, b"newer"), WINDOWS: releases.file(WINDOWS, b"w")}
    with pytest.raises(EndpointConnectionError):
        publish(broken_off(writes), "0.3.0", files, say=releases.said.append)
    assert releases.read("latest/manifest") == old.content
    assert (releases.read("0.3.0/manifest") is not None) == (writes == 3)
    # And again, with a build that came out otherwise where nobody can have the first one.
    content = b"newer" if writes == 3 else b"NEWER"
    made = releases.publish("0.3.0", {LINUX: content, WINDOWS: b"w"})
    assert releases.binary("0.3.0", LINUX, content) == content
    assert releases.read("latest/manifest") == made.content


def test_two_who_publish_at_once_lose_no_platform(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, before in (("0.2.0", {}), ("0.3.0", {LINUX: b"linux"})):
        if before:
            releases.publish(version, before)
        upload = ReleaseStore.upload

        def meanwhile(self: ReleaseStore, *arguments: Any, version: str = version) -> None:
            monkeypatch.setattr(ReleaseStore, "upload", upload)  # noqa: B023 - of this round
            releases.publish(version, {WINDOWS: b"w"})
            upload(self, *arguments)  # noqa: B023

        monkeypatch.setattr(ReleaseStore, "upload", meanwhile)
        with pytest.raises(DeployError, match="at the same time"):
            releases.publish(version, {LINUX_ARM: b"arm"})
        made = releases.publish(version, {LINUX_ARM: b"arm"})
        assert {"linux/arm64", "windows/x86_64"} <= set(made.platforms)


def test_a_manifest_that_somebody_changed_is_not_signed_anew(releases: Releases) -> None:
    made = releases.publish("0.2.0", {LINUX: b"linux"})
    releases.write("0.2.0/manifest", made.content.replace(b"x86_64 5 ", b"x86_64 6 "))
    with pytest.raises(DeployError, match="was changed"):
        releases.publish("0.2.0", {WINDOWS: b"w"})
    releases.write("0.2.0/manifest", made.content + b"more\n")
    with pytest.raises(DeployError, match="damaged"):
        releases.publish("0.2.0", {WINDOWS: b"w"})


def test_a_binary_that_is_gone_is_not_promised(releases: Releases) -> None:
    releases.publish("0.2.0", {LINUX: b"linux"})
    key = releases.key_of("0.2.0", LINUX, b"linux")
    releases.s3.delete_object(Bucket=releases.bucket, Key=f"releases/{key}")
    with pytest.raises(DeployError, match="does not hold the binary for linux/x86_64"):
        releases.publish("0.2.0", {WINDOWS: b"w"})
    assert releases.publish("0.2.0", {WINDOWS: b"w", LINUX: b"linux"}).platforms


def test_a_signature_that_does_not_verify_is_not_published(
    releases: Releases, stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    signs = release_key.sign

    def with_another(target: Target, outputs: Any, manifest: Any) -> bytes:
        wrong = {**outputs, "ReleaseKeyArn": other["KeyMetadata"]["Arn"]}
        return signs(target, wrong, manifest)

    monkeypatch.setattr(release_key, "sign", with_another)
    assert stack["ReleaseKeyArn"] != other["KeyMetadata"]["Arn"]
    with pytest.raises(DeployError, match="another key"):
        releases.publish("0.2.0", {LINUX: b"linux"})
    assert releases.read("0.2.0/manifest") is None
    assert releases.read("latest/manifest") is None


@pytest.mark.parametrize("version", ["", "latest", "../x", "1/2", ".1", "1 0", "a" * 65])
def test_what_cannot_be_a_version_is_refused(releases: Releases, version: str) -> None:
    with pytest.raises(DeployError, match="cannot be a version"):
        releases.publish(version, {LINUX: b"linux"})


def test_a_stage_that_is_not_deployed_is_said(releases: Releases) -> None:
    with pytest.raises(DeployError, match="not deployed"):
        publish(Target("nowhere", os.environ), "1", {LINUX: releases.file(LINUX, b"x")})


def test_the_command_takes_files_by_their_names(
    releases: Releases, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    linux = releases.file(LINUX, b"linux").path
    other = tmp_path / "agent.exe"
    other.write_bytes(b"windows")
    command = ["publish-agent", "--stage", STAGE, "--version", "0.2.0"]
    assert __main__.main([*command, str(linux), "--file", f"windows/amd64={other}"]) == 0
    assert "published 0.2.0: linux/x86_64, windows/x86_64" in capsys.readouterr().out
    assert releases.binary("0.2.0", WINDOWS, b"windows") == b"windows"
    assert __main__.main([*command, str(other)]) == 1
    assert "does not say what it is for" in capsys.readouterr().out
