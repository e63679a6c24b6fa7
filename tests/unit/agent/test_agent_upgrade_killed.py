"""Killed at each operation on the host's files, the next start goes on with a whole binary."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from rollcall_agent.binary_files import FileOperations
from rollcall_agent.exits import RestartRequestedError
from rollcall_agent.upgrade import LONGEST_TRIAL, MOST_MISSES

from tests.unit.agent.upgrading import Host


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class DeadlyFiles(FileOperations):
    """Ends the process at its n-th operation, and does nothing after its end."""

    def __init__(self, kill_at: int, *, half_done: bool) -> None:
        self._left = kill_at
        self._half_done = half_done

    @property
    def has_killed(self) -> bool:
        return self._left <= 0

    def _step(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Killed

    def write_new(self, path: Path, blocks: Iterable[bytes]) -> None:
        try:
            self._step()
        except Killed:
            if self._half_done and self._left == 0:
                path.write_bytes(next(iter(blocks)))
            raise
        super().write_new(path, blocks)

    def link(self, path: Path, name: Path) -> None:
        self._step()
        super().link(path, name)

    def replace(self, path: Path, target: Path) -> None:
        self._step()
        super().replace(path, target)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def sync(self, folder: Path) -> None:
        self._step()
        super().sync(folder)


def upgraded(host: Host, files: FileOperations | None = None) -> None:
    """Live on until the wanted version is confirmed."""
    with suppress(RestartRequestedError):
        host.start(files).wanted("0.2.0")
    host.start().accepted()


@pytest.mark.parametrize("half_done", [False, True])
def test_an_upgrade_that_is_killed_is_done_by_the_next_start(
    half_done: bool, tmp_path: Path
) -> None:
    for number in range(1, 100):
        host = Host(tmp_path / str(number))
        host.releases.publish("0.2.0")
        files = DeadlyFiles(number, half_done=half_done)
        with suppress(Killed):
            upgraded(host, files)
        if not files.has_killed:
            assert number > 8, "the harness saw fewer steps than an upgrade has"
            return
        assert host.version in {"0.1.0", "0.2.0"}, f"step {number}"
        upgraded(host)
        assert host.version == "0.2.0", f"step {number}"
        assert host.names() == ["rollcall-agent", "rollcall-agent.previous"], f"step {number}"
    raise AssertionError("it never ended")


def test_a_trial_that_has_ended_does_not_begin_again_with_a_kill(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.releases.publish("0.2.0")
    with pytest.raises(RestartRequestedError):
        host.start().wanted("0.2.0")
    upgrade = host.start(DeadlyFiles(1, half_done=False))
    host.clock.sleep(LONGEST_TRIAL + 1)
    for _ in range(MOST_MISSES - 1):
        upgrade.not_accepted()
    with pytest.raises(Killed):
        upgrade.not_accepted()
    assert host.version == "0.2.0"
    with pytest.raises(RestartRequestedError, match="Going back"):
        host.start()
    assert host.version == "0.1.0"


def test_going_back_that_is_killed_is_done_by_the_next_start(tmp_path: Path) -> None:
    for number in range(1, 20):
        host = Host(tmp_path / str(number))
        host.releases.publish("0.2.0")
        with pytest.raises(RestartRequestedError):
            host.start().wanted("0.2.0")
        for _ in range(2):
            host.start()
        files = DeadlyFiles(number, half_done=False)
        with suppress(Killed, RestartRequestedError):
            host.start(files)
        assert host.version in {"0.1.0", "0.2.0"}, f"step {number}"
        for _ in range(2):
            with suppress(RestartRequestedError):
                host.start().wanted("0.2.0")
        assert host.version == "0.1.0", f"step {number}"
        assert host.memory.load().note is None
        if not files.has_killed:
            assert number > 2, "the harness saw fewer steps than going back has"
            return
    raise AssertionError("it never ended")
