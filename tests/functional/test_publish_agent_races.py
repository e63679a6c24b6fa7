"""Several who publish at once: what is in force is the version, and its binaries are its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import DeployError
from infra.publish_agent import publish
from infra.release_store import ReleaseStore
from tests.functional.releases import LINUX, WINDOWS, Releases


@pytest.fixture
def releases(stack: dict[str, str], tmp_path: Path) -> Iterator[Releases]:
    made = Releases(stack, tmp_path)
    yield made
    made.clear()


def test_a_platform_that_comes_before_the_last_write_is_in_force_too(releases: Releases) -> None:
    files = {LINUX: releases.file(LINUX, b"linux")}

    def meanwhile(line: str) -> None:
        if line == "published 0.9.0: linux/x86_64":
            releases.publish("0.9.0", {WINDOWS: b"w"})

    publish(releases.target, "0.9.0", files, say=meanwhile)
    assert releases.read("latest/manifest") == releases.read("0.9.0/manifest")
    assert releases.manifest("latest").platforms == ["linux/x86_64", "windows/x86_64"]


@pytest.mark.parametrize("step", ["etag_in_force", "find", "put_in_force"])
@pytest.mark.parametrize("latest", [True, False])
def test_at_no_step_the_version_in_force_falls_behind_its_manifest(
    releases: Releases, monkeypatch: pytest.MonkeyPatch, step: str, latest: bool
) -> None:
    releases.publish("0.8.0", {LINUX: b"old"})
    original = getattr(ReleaseStore, step)
    ours = {"published": False}

    def beside(self: ReleaseStore, *arguments: Any) -> Any:
        came = original(self, *arguments)
        if ours["published"]:
            monkeypatch.setattr(ReleaseStore, step, original)
            releases.publish("0.9.0", {WINDOWS: b"w"}, latest=latest)
        return came

    monkeypatch.setattr(ReleaseStore, step, beside)
    files = {LINUX: releases.file(LINUX, b"linux")}
    publish(releases.target, "0.9.0", files, say=lambda _: ours.update(published=True))
    assert releases.manifest("0.9.0").platforms == ["linux/x86_64", "windows/x86_64"]
    assert releases.read("latest/manifest") == releases.read("0.9.0/manifest")


def test_who_cannot_put_a_version_in_force_is_told(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReleaseStore, "put_in_force", lambda *_: False)
    with pytest.raises(DeployError, match="may not be in force"):
        releases.publish("0.9.0", {LINUX: b"linux"})


def test_nobody_puts_other_bytes_under_a_manifest(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = ReleaseStore.publish
    other = releases.file(WINDOWS, b"OTHER")

    def meanwhile(self: ReleaseStore, *arguments: Any) -> None:
        # Who loses the race for the manifest has uploaded last.
        self.upload("0.9.1", LINUX, other.binary, other.path)
        wrote(self, *arguments)

    monkeypatch.setattr(ReleaseStore, "publish", meanwhile)
    made = releases.publish("0.9.1", {LINUX: b"linux"})
    store = ReleaseStore(releases.target, releases.bucket)
    assert store.holds("0.9.1", LINUX, made.binaries[LINUX])
    assert releases.binary("0.9.1", LINUX, b"linux") == b"linux"


def test_a_version_that_was_changed_meanwhile_is_not_put_in_force(releases: Releases) -> None:
    old = releases.publish("0.2.0", {LINUX: b"linux"})
    files = {LINUX: releases.file(LINUX, b"newer")}

    def meanwhile(line: str) -> None:
        if line.startswith("published"):
            content = releases.read("0.3.0/manifest") or b""
            releases.write("0.3.0/manifest", content.replace(b"x86_64 5 ", b"x86_64 6 "))

    with pytest.raises(DeployError, match="was changed"):
        publish(releases.target, "0.3.0", files, say=meanwhile)
    assert releases.read("latest/manifest") == old.content
