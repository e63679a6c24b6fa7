from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rollcall_agent.binary_files import WindowsBinaries
from rollcall_agent.exits import RestartRequestedError
from rollcall_agent.upgrade import LONGEST_TRIAL, Upgrade
from rollcall_agent.upgrade_memory import FORGETS_AFTER

from tests.unit.agent.releases import FakeReleases, Signer, program
from tests.unit.agent.upgrading import Host

A_DAY = FORGETS_AFTER


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.releases.publish("0.2.0")
    return made


def exchange(host: Host, version: str = "0.2.0") -> None:
    with pytest.raises(RestartRequestedError):
        host.start().wanted(version)


def test_a_wanted_version_is_put_in_place_and_confirmed_by_a_beat(host: Host) -> None:
    with pytest.raises(RestartRequestedError, match=re.escape("from 0.1.0 to 0.2.0")):
        host.start().wanted("0.2.0")
    assert host.version == "0.2.0"

    host.start().accepted()
    assert host.memory.load().note is None
    assert host.names() == ["rollcall-agent", "rollcall-agent.previous"]
    assert (host.folder / "bin" / "rollcall-agent.previous").read_bytes() == program("0.1.0")
    assert host.lines.notes == ["Upgraded from 0.1.0 to 0.2.0."]


def test_the_new_binary_is_a_program_whatever_the_umask(host: Host) -> None:
    before = os.umask(0o077)
    try:
        exchange(host)
    finally:
        os.umask(before)
    assert host.binary.stat().st_mode & 0o777 == 0o755


def test_the_version_that_runs_asks_for_nothing(host: Host) -> None:
    host.start().wanted("0.1.0")
    assert host.releases.asked == []
    assert host.lines.warnings == []


def test_what_a_killed_download_left_behind_is_removed_by_the_next_start(host: Host) -> None:
    (host.binary.parent / ".rollcall-agent.0.1.5.77.new").write_text("half of it")
    (host.binary.parent / ".rollcall-agent-other").write_text("somebody else's")
    host.start()
    assert host.names() == [".rollcall-agent-other", "rollcall-agent"]


def test_a_download_does_not_hold_up_the_beats(host: Host) -> None:
    pending: list[Callable[[], None]] = []
    upgrade = host.start(apart=pending.append)
    upgrade.wanted("0.2.0")
    upgrade.wanted("0.2.0")
    assert host.releases.asked == []
    (work,) = pending
    work()
    with pytest.raises(RestartRequestedError):
        upgrade.wanted("0.2.0")


def test_a_wish_that_changed_meanwhile_is_not_fulfilled(host: Host) -> None:
    host.releases.publish("0.3.0")
    pending: list[Callable[[], None]] = []
    upgrade = host.start(apart=pending.append)
    upgrade.wanted("0.2.0")
    pending.pop()()
    upgrade.wanted("0.3.0")
    upgrade.wanted("0.3.0")
    pending.pop()()
    with pytest.raises(RestartRequestedError, match=re.escape("to 0.3.0")):
        upgrade.wanted("0.3.0")
    assert host.version == "0.3.0"


def test_a_mistyped_version_does_not_hold_up_its_correction(host: Host) -> None:
    upgrade = host.start()
    upgrade.wanted("9.9.9")
    assert "the next try is in" in host.lines.warnings[0]
    with pytest.raises(RestartRequestedError, match=re.escape("to 0.2.0")):
        upgrade.wanted("0.2.0")


def test_an_agent_that_may_not_upgrade_itself_says_why_once(host: Host) -> None:
    upgrade = host.start(refusal="no release key is pinned")
    upgrade.wanted("0.2.0")
    upgrade.wanted("0.2.0")
    assert host.lines.warnings == ["0.2.0 is wanted, but no release key is pinned"]
    assert (host.version, host.releases.asked) == ("0.1.0", [])


def other_key(releases: FakeReleases) -> None:
    releases.manifests["0.2.0"] = Signer().manifest("0.2.0", releases.binaries["0.2.0"])


def another_version(releases: FakeReleases) -> None:
    releases.publish("0.0.9")
    releases.manifests["0.2.0"] = releases.manifests["0.0.9"]


def another_platform(releases: FakeReleases) -> None:
    releases.manifests["0.2.0"] = releases.signer.manifest("0.2.0", b"x", ("darwin", "arm64"))


def changed(releases: FakeReleases) -> None:
    releases.binaries["0.2.0"] = releases.binaries["0.2.0"].replace(b"echo", b"rm -")


def cut(releases: FakeReleases) -> None:
    releases.binaries["0.2.0"] = releases.binaries["0.2.0"][:-1]


def endless(releases: FakeReleases) -> None:
    releases.binaries["0.2.0"] += b"#" * 1000


def unpublished(releases: FakeReleases) -> None:
    del releases.manifests["0.2.0"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (other_key, "another key"),
        (another_version, "the one of 0.0.9"),
        (another_platform, "no binary for linux x86_64"),
        (changed, "not the one that the manifest names"),
        (cut, "ended after"),
        (endless, "larger than"),
        (unpublished, "not published"),
    ],
)
def test_what_cannot_be_trusted_or_had_is_not_run_and_is_asked_for_again_later(
    spoil: Callable[[FakeReleases], None], why: str, host: Host
) -> None:
    spoil(host.releases)
    upgrade = host.start()
    upgrade.wanted("0.2.0")
    asked = len(host.releases.asked)
    assert why in host.lines.warnings[0]
    assert host.version == "0.1.0"

    upgrade.wanted("0.2.0")
    assert len(host.releases.asked) == asked, "not at each beat"
    host.releases.publish("0.2.0")
    host.clock.sleep(61)
    with pytest.raises(RestartRequestedError):
        upgrade.wanted("0.2.0")


def test_the_pauses_between_tries_grow_to_an_hour(host: Host) -> None:
    unpublished(host.releases)
    upgrade = host.start()
    for _ in range(10_000):
        upgrade.wanted("0.2.0")
        host.clock.sleep(30)
    tries = len(host.releases.asked)
    assert 80 < tries < 100, "83 hours at an hour each, and a few short pauses before"


@pytest.mark.parametrize(
    "broken", [b"#!/bin/sh\nexit 1\n", program("0.1.9"), b"\x7fELF nothing of this machine"]
)
def test_a_version_that_does_not_start_is_left_alone_for_a_day(broken: bytes, host: Host) -> None:
    host.releases.publish("0.2.0", broken)
    host.start().wanted("0.2.0")
    assert host.names() == ["rollcall-agent"]

    host.releases.publish("0.2.0")
    host.clock.sleep(A_DAY - 60)
    host.start().wanted("0.2.0")
    assert host.version == "0.1.0"
    host.clock.sleep(61)
    exchange(host)


def test_a_version_that_is_started_a_third_time_without_a_beat_is_taken_back(host: Host) -> None:
    exchange(host)
    for _ in range(2):
        host.start()
    with pytest.raises(RestartRequestedError, match=r"Going back from 0\.2\.0 to 0\.1\.0"):
        host.start()
    assert host.version == "0.1.0"

    host.start().wanted("0.2.0")
    assert "0.2.0 did not work on this host; 0.1.0 is back" in host.lines.warnings[0]
    assert host.version == "0.1.0", "left alone for a day"
    assert host.memory.load().note is None
    host.clock.sleep(A_DAY + 1)
    exchange(host)


def test_a_version_that_gets_no_beat_accepted_in_its_time_is_taken_back(host: Host) -> None:
    exchange(host)
    upgrade = host.start()
    for _ in range(20):
        upgrade.not_accepted()
        host.clock.sleep(LONGEST_TRIAL / 20)
    host.clock.sleep(1)
    with pytest.raises(RestartRequestedError, match="Going back"):
        upgrade.not_accepted()
    assert host.version == "0.1.0"


def test_one_lost_beat_after_a_long_pause_ends_no_trial(host: Host) -> None:
    exchange(host)
    upgrade = host.start()
    host.clock.sleep(LONGEST_TRIAL * 5)
    upgrade.not_accepted()
    upgrade.accepted()
    assert host.version == "0.2.0"


def test_once_confirmed_a_version_stays_whatever_happens_later(host: Host) -> None:
    exchange(host)
    upgrade = host.start()
    upgrade.accepted()
    for _ in range(10):
        host.clock.sleep(LONGEST_TRIAL)
        upgrade.not_accepted()
    for _ in range(5):
        host.start()
    assert host.version == "0.2.0"


def test_where_nothing_can_be_remembered_nothing_is_exchanged(host: Host) -> None:
    (host.folder / "state").write_text("a file, and no folder")
    host.start().wanted("0.2.0")
    assert host.version == "0.1.0"
    assert "could not be exchanged" in host.lines.warnings[-1]


def test_without_a_previous_binary_the_new_one_goes_on(host: Host) -> None:
    exchange(host)
    (host.folder / "bin" / "rollcall-agent.previous").unlink()
    for _ in range(4):
        host.start()
    assert host.version == "0.2.0"
    assert "no previous version" in host.lines.warnings[0]


def test_a_clock_that_was_set_back_holds_no_upgrade_for_ever(host: Host) -> None:
    host.memory.save(host.memory.load().with_failed("0.2.0", host.clock.now() + 10 * A_DAY))
    exchange(host)


@pytest.mark.parametrize("content", ["", "[]", '{"note": 7}', '{"note": {"to": 1}, "failed": []}'])
def test_a_memory_that_cannot_be_read_is_none(content: str, host: Host) -> None:
    (host.folder / "state").mkdir()
    (host.folder / "state" / "upgrade.json").write_text(content)
    exchange(host)


def test_on_windows_the_running_binary_is_renamed_and_can_be_renamed_back(tmp_path: Path) -> None:
    host = Host(tmp_path, way=WindowsBinaries)
    host.releases.publish("0.2.0")
    exchange(host)
    assert host.version == "0.2.0"
    for _ in range(2):
        host.start()
    with pytest.raises(RestartRequestedError, match="Going back"):
        host.start()
    assert host.version == "0.1.0"
    host.start()
    assert host.names() == ["rollcall-agent"]


def test_a_process_that_is_not_the_one_file_build_is_left_as_it_is(tmp_path: Path) -> None:
    host = Host(tmp_path)
    upgrade = Upgrade(
        version="0.1.0",
        refusal="this is not the one-file build",
        files=None,
        stage=None,
        memory=host.memory,
        clock=host.clock,
        say=host.lines,
    )
    upgrade.at_start()
    upgrade.accepted()
    upgrade.not_accepted()
    upgrade.wanted("0.2.0")
    assert host.lines.warnings == ["0.2.0 is wanted, but this is not the one-file build"]
