"""The agent's upgrade over HTTP, with real binaries, real processes and a real SIGKILL."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from rollcall_agent import __version__
from rollcall_agent.clock import SystemClock
from rollcall_agent.downloads import DownloadError, Downloads
from rollcall_agent.upgrade import Upgrade

from tests.e2e.agent_upgrade.conftest import NEXT
from tests.e2e.agent_upgrade.installed import RESTART, SURVIVED, Installed
from tests.e2e.agent_upgrade.release_server import ReleaseServer
from tests.unit.agent.releases import Signer


def want_until_done(upgrade: Upgrade) -> None:
    """Beat, as often as the environment's wish takes; each beat waits a little for the next."""
    clock = SystemClock()
    for _ in range(1000):
        upgrade.wanted(NEXT)
        if upgrade.is_idle:
            return
        clock.sleep(0.01)
    raise AssertionError("it neither ended nor failed")


def test_a_published_version_replaces_the_binary_and_the_next_start_confirms_it(
    host: Installed, releases: ReleaseServer
) -> None:
    assert host.process(want_until_done) == RESTART
    assert host.version == NEXT
    assert host.names() == ["rollcall-agent", "rollcall-agent.previous"]
    assert releases.asked == ["/dev/agent/manifest", "/dev/agent/binary", f"/store/{NEXT}"]
    assert releases.credentials == []


def test_killed_at_each_step_the_binary_is_whole_and_the_next_start_goes_on(
    tmp_path: Path, releases: ReleaseServer
) -> None:
    for number in range(1, 200):
        host = Installed(tmp_path / str(number), releases.url, releases.signer.pin)
        ended = host.process(want_until_done, kill_at=number)
        assert host.version in {__version__, NEXT}, f"step {number}"
        if ended == RESTART:
            assert number > 15, "the harness saw fewer steps than an upgrade has"
            return
        assert ended == -signal.SIGKILL, f"step {number}"
        if host.version != NEXT:
            assert host.process(want_until_done) == RESTART, f"step {number}"
        assert host.version == NEXT, f"step {number}"
    raise AssertionError("it never ended")


def test_a_release_of_another_key_never_runs(host: Installed, releases: ReleaseServer) -> None:
    releases.signer = Signer()
    for version, binary in releases.binaries.items():
        releases.publish(version, binary, ("linux", "x86_64"))
    assert host.process(want_until_done) == SURVIVED
    assert host.version == __version__
    assert f"/store/{NEXT}" not in releases.asked


def fetched(releases: ReleaseServer) -> bytes:
    downloads = Downloads(releases.url, SystemClock())
    return b"".join(downloads.binary("linux", "x86_64", NEXT))


def test_a_version_that_is_not_published_is_told_as_the_control_plane_tells_it(
    releases: ReleaseServer,
) -> None:
    with pytest.raises(DownloadError, match="agent_not_published"):
        Downloads(releases.url, SystemClock()).manifest("0.0.1")


def test_a_second_redirect_is_not_followed(releases: ReleaseServer) -> None:
    releases.location = f"/dev/agent/binary?version={NEXT}"
    with pytest.raises(DownloadError, match="HTTP 302"):
        fetched(releases)


@pytest.mark.parametrize(
    "location", ["http://192.0.2.1/binary", "ftp://127.0.0.1/x", "http://[/", "file:///etc/passwd"]
)
def test_a_redirect_leads_nowhere_but_to_https_and_this_host(
    location: str, releases: ReleaseServer
) -> None:
    releases.location = location
    with pytest.raises(DownloadError):
        fetched(releases)


def test_a_control_plane_that_is_gone_is_an_outcome_like_another(releases: ReleaseServer) -> None:
    gone = Downloads("http://127.0.0.1:1/dev", SystemClock())
    with pytest.raises(DownloadError, match="no connection"):
        gone.manifest(None)
    assert releases.asked == []
