"""A trial that ends for good, a staging that fails, and two processes that upgrade at once."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from rollcall_agent import __version__
from rollcall_agent.binary_files import FileOperations, PosixBinaries
from rollcall_agent.commands.run import run_agent
from rollcall_agent.exchanging import LONGEST_WAY
from rollcall_agent.exits import AgentError, ExitCode, RestartRequestedError
from rollcall_agent.private_files import exclusive
from rollcall_agent.settings import Settings
from rollcall_agent.staging import Staged
from rollcall_agent.stopping import Stopper
from rollcall_agent.upgrade import Upgrade
from rollcall_agent.upgrade_memory import Note, Remembered, UpgradeMemory

from tests.unit.agent.fakes import Lines
from tests.unit.agent.releases import program
from tests.unit.agent.upgrading import Host

PREVIOUS = "rollcall-agent.previous"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.releases.publish("0.2.0")
    return made


def exchange(host: Host, upgrade: Upgrade | None = None, version: str = "0.2.0") -> None:
    with pytest.raises(RestartRequestedError):
        (upgrade or host.start()).wanted(version)


def test_a_version_on_trial_that_ends_for_good_is_taken_back(host: Host) -> None:
    exchange(host)
    with pytest.raises(RestartRequestedError, match="it ended for good"):
        host.start().ended("no such setting")
    assert host.version == "0.1.0"
    host.start().wanted("0.2.0")
    assert "failed on this host" in host.lines.warnings[-1]


def test_a_confirmed_version_that_ends_for_good_stays(host: Host) -> None:
    exchange(host)
    upgrade = host.start()
    upgrade.accepted()
    upgrade.ended("the key was revoked")
    assert host.version == "0.2.0"


@pytest.fixture
def on_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host on which this very version is on trial; its env file."""
    binary = tmp_path / "bin" / "rollcall-agent"
    binary.parent.mkdir()
    binary.write_bytes(program(__version__))
    binary.with_name(PREVIOUS).write_bytes(program("0.0.1"))
    note = Note("0.0.1", __version__, 0.0)
    UpgradeMemory(tmp_path / "state").save(Remembered(note))
    # The one-file build's own words for what it is.
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(binary))
    return tmp_path / "agent.env"


def run_it(config: Path, *, once: bool = False) -> None:
    run_agent(config, None, Stopper(), Lines(), once=once, verbose=False, environment={})


@pytest.mark.parametrize("content", [None, "", "ROLLCALL_API_BASE_URL=no-url\n"])
def test_whatever_ends_a_start_on_trial_for_good_the_previous_version_is_back(
    on_trial: Path, content: str | None
) -> None:
    if content is None:
        on_trial.mkdir()  # an env file that cannot be read
    else:
        on_trial.write_text(content)
    with pytest.raises(RestartRequestedError):
        run_it(on_trial)
    binary = on_trial.parent / "bin" / "rollcall-agent"
    assert binary.read_bytes() == program("0.0.1")


def test_a_persons_single_beat_ends_no_trial(on_trial: Path) -> None:
    on_trial.write_text("")
    with pytest.raises(AgentError):
        run_it(on_trial, once=True)
    assert (on_trial.parent / "bin" / PREVIOUS).exists()


def test_an_end_that_another_start_may_help_only_counts(on_trial: Path) -> None:
    on_trial.write_text("ROLLCALL_API_BASE_URL=http://127.0.0.1:1\n")
    with pytest.raises(AgentError) as ended:
        run_it(on_trial)
    assert ended.value.exit_code == ExitCode.NOT_ENROLLED
    note = UpgradeMemory(on_trial.parent / "state").load().note
    assert note is not None
    assert note.attempts == 1


def test_an_env_file_that_cannot_be_read_is_empty_for_the_memory_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.mkdir()
    assert Settings.load_what_can_be(path, {}).path == path
    with pytest.raises(AgentError):
        Settings.load(path, {})


def test_a_binary_that_is_refused_does_not_stay(host: Host) -> None:
    host.releases.binaries["0.2.0"] = program("0.2.1")
    host.start().wanted("0.2.0")
    assert "not the one that the manifest names" in host.lines.warnings[0]
    assert host.names() == ["rollcall-agent"]


class FullDisk(FileOperations):
    def write_new(self, path: Path, blocks: Iterable[bytes]) -> None:
        def cut() -> Iterator[bytes]:
            yield next(iter(blocks))
            raise OSError(errno.ENOSPC, "No space left on device")

        super().write_new(path, cut())


def test_a_full_disk_is_not_kept_full(host: Host) -> None:
    host.start(FullDisk()).wanted("0.2.0")
    assert "No space left" in host.lines.warnings[0]
    assert host.names() == ["rollcall-agent"]


def test_what_is_not_checked_yet_is_no_program_and_nobody_elses(tmp_path: Path) -> None:
    modes: list[int] = []

    def blocks() -> Iterator[bytes]:
        yield b"half"
        (staged,) = tmp_path.iterdir()
        modes.append(staged.stat().st_mode & 0o777)
        yield b" and half"

    staged = PosixBinaries(tmp_path / "rollcall-agent").stage("0.2.0", blocks())
    assert modes == [0o600]
    assert staged.stat().st_mode & 0o777 == 0o755


class Staging:
    """Another process of this host: what it stages is its own file."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def stage(self, version: str) -> Staged:
        path = self.host.binary.with_name(f".rollcall-agent.{version}.4711.new")
        path.write_bytes(self.host.releases.binaries[version])
        path.chmod(0o755)
        return Staged(version, path)


def another_process(host: Host) -> Upgrade:
    return Upgrade(
        version=host.version,
        refusal=None,
        files=PosixBinaries(host.binary),
        stage=Staging(host),
        memory=host.memory,
        clock=host.clock,
        say=host.lines,
        apart=lambda work: work(),
    )


def test_two_processes_that_upgrade_at_once_keep_the_version_before(host: Host) -> None:
    one, other = host.start(), another_process(host)
    exchange(host, one)
    exchange(host, other)
    assert host.version == "0.2.0"
    assert host.binary.with_name(PREVIOUS).read_bytes() == program("0.1.0")
    assert host.names() == ["rollcall-agent", PREVIOUS]


def test_a_process_that_wants_yet_another_version_waits_for_the_trial(host: Host) -> None:
    host.releases.publish("0.3.0")
    one, other = host.start(), another_process(host)
    exchange(host, one)
    other.wanted("0.3.0")
    assert "An upgrade to 0.2.0 is under way on this host" in host.lines.warnings[0]
    assert host.names() == ["rollcall-agent", PREVIOUS]
    # A note as old as this one was left behind by a process that was killed.
    host.clock.sleep(LONGEST_WAY)
    exchange(host, other, "0.3.0")


def test_a_note_without_an_exchange_stands_in_nobodys_way(host: Host) -> None:
    other = another_process(host)
    host.memory.save(Remembered(Note("0.1.0", "0.2.0", host.clock.now())))
    exchange(host, other)
    assert host.version == "0.2.0"


def test_only_one_process_at_a_time_exchanges_the_binary(host: Host) -> None:
    upgrade = host.start()
    (host.folder / "state").mkdir(exist_ok=True)
    with exclusive(host.folder / "state"):
        upgrade.wanted("0.2.0")
    assert "Another upgrade works in" in host.lines.warnings[0]
    assert host.version == "0.1.0"


def test_a_version_from_outside_is_shown_clean(host: Host) -> None:
    forged = "9\nrollcall: all is well\x1b[2J"
    host.start(refusal="it is not").wanted(forged)
    host.start().wanted(forged)
    assert len(host.lines.warnings) == 2
    assert not [line for line in host.lines.warnings if "\n" in line or "\x1b" in line]
