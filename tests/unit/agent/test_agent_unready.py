"""What a start finds that gets better by itself ends with a code that starts it again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import write_private
from rollcall_agent.service.endings import is_final


def test_an_unready_start_is_not_final_and_a_usage_error_is() -> None:
    assert not is_final(ExitCode.UNREADY)
    assert ExitCode.UNREADY not in {2, 3, 6}
    assert is_final(ExitCode.USAGE)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOTDIR, errno.ELOOP])
def test_an_env_file_that_cannot_be_read_is_unready(tmp_path: Path, number: int) -> None:
    class Unreadable(type(Path())):  # type: ignore[misc]
        def open(self, *_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

    path = tmp_path / "agent.env"
    path.touch()
    with pytest.raises(AgentError, match=os.strerror(number)) as failure:
        EnvFile.load(Unreadable(path))
    assert failure.value.exit_code is ExitCode.UNREADY


def test_a_folder_is_no_env_file_and_never_becomes_one(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as failure:
        EnvFile.load(tmp_path)
    assert failure.value.exit_code is ExitCode.USAGE


def test_a_private_file_is_on_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced, fsync = tmp_path / "agent.env", list[str](), os.fsync
    path.write_text("old")

    def note(descriptor: int) -> None:
        # What lies under the name while the new content is flushed, and the folder after that.
        synced.append(path.read_text())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write_private(path, b"new")
    assert synced == ["old", "new"]
