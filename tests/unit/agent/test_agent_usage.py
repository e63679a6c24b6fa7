"""Whatever is typed, or closed: one line that repeats no argument, and a documented exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from rollcall_agent import __version__
from rollcall_agent.cli import app
from rollcall_agent.commands.entry import enter, make_streams_safe
from rollcall_agent.commands.service import service
from rollcall_agent.exits import ExitCode
from rollcall_agent.say import Terminal

TOKEN = f"rce_{'0' * 20}_{'1' * 20}_{'2' * 59}"
GIVEN_AWAY = "error: A token is never given as an argument"


def typed(*arguments: str) -> int:
    return enter(lambda: app(list(arguments), standalone_mode=False), arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["enrol"], "There is no such command, or none was given. Did you mean enroll?"),
        (["hunter2"], "There is no such command, or none was given."),
        (
            ["service", "instal"],
            "There is no such command, or none was given. Did you mean install or uninstall?",
        ),
        (["enroll", "hunter2"], "There are more arguments than the command has."),
        (["version", "a", "hunter2"], "There are more arguments than the command has."),
        (["upload"], "FILE is missing."),
        (["upload", "hunter2"], "--kind is missing."),
        (["upload", "hunter2", "--kind"], "--kind needs a value."),
        (["enroll", "--timeout", "hunter2"], "--timeout must be a number from 1 to 86400."),
        (["enroll", "--timeout", "nan"], "--timeout must be a number from 1 to 86400."),
        (["enroll", "--timeout", "inf"], "--timeout must be a number from 1 to 86400."),
        (["enroll", "--timeout", "0.5"], "--timeout must be a number from 1 to 86400."),
        (["decommission", "--timeout", "1e9"], "--timeout must be a number from 1 to 86400."),
        (["enroll", "--replace=hunter2"], "--replace stands alone, without a value."),
        (
            ["enroll", "--urll", "hunter2"],
            "There is no such option. Did you mean --label or --url?",
        ),
        (["enroll", "--hunter_2"], "There is no such option."),
        (["enroll", "--HUNTER2=x"], "There is no such option."),
        (
            ["--config", "hunter2", "run"],
            "There is no such option here: options stand after their command.",
        ),
        (["enroll", "--label", "hunter2"], "--label takes key=value."),
    ],
)
def test_a_wrong_command_line_is_one_line_that_repeats_no_argument(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("ROLLCALL_CONFIG", str(tmp_path / "agent.env"))
    assert typed(*arguments) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert err.startswith(f"error: {said}")
    assert (out, err.count("\n"), "hunter" in err.lower()) == ("", 1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        [TOKEN],
        ["enroll", TOKEN],
        ["enroll", "rce_short"],
        ["enroll", "--token", "rce_short"],
        ["enroll", "--token=rce_short"],
        ["enroll", "--token", "hunter2"],
        ["enroll", f"--{TOKEN}"],
        ["enroll", "--token-file", TOKEN],
        ["enroll", "--name", TOKEN],
        ["enroll", "--label", f"token={TOKEN}"],
        ["enroll", "--url", f"https://{TOKEN}@control-plane.example"],
        ["decommission", "--note", f"was {TOKEN}"],
        ["doctor", "--config", TOKEN],
        ["upload", "--kind", "rca_x", "--timeout", "x", "y"],
    ],
)
def test_a_credential_among_the_arguments_is_refused_and_not_repeated(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert typed(*arguments) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert err.startswith(GIVEN_AWAY)
    assert (out, err.count("\n"), "rce_" in err, "hunter" in err) == ("", 1, False, False)


def test_a_file_may_be_called_like_the_beginning_of_a_credential(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["upload", "rca_summary.txt", "--kind", "state_snapshot"]
    assert typed(*words, "--config", str(tmp_path / "agent.env")) == ExitCode.NOT_ENROLLED
    assert GIVEN_AWAY not in capfd.readouterr().err


def commands() -> list[Callable[..., object]]:
    found = [*app.registered_commands, *service.registered_commands]
    return [command.callback for command in found if command.callback is not None]


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.__name__)
def test_no_path_is_looked_at_before_the_command_does(command: Callable[..., object]) -> None:
    hints = typing.get_type_hints(command, include_extras=True)
    for hint in (hint for hint in hints.values() if "Path" in str(typing.get_args(hint)[:1])):
        _, option = typing.get_args(hint)
        looks = (option.exists, option.readable, option.writable)
        assert looks == (False, False, False), command.__name__


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (typer.Abort(), ExitCode.INTERRUPTED),
        (SystemExit(7), ExitCode.NOT_ENROLLED),
        (SystemExit(None), ExitCode.OK),
    ],
)
def test_every_end_has_its_code(failure: BaseException, code: ExitCode) -> None:
    def command() -> object:
        raise failure

    assert enter(command, []) == code


class Stream(io.TextIOWrapper):
    """A stream whose disk or reader fails."""

    def __init__(self, number: int) -> None:
        super().__init__(io.BytesIO(), write_through=True)
        self.number = number

    def write(self, _: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def fileno(self) -> int:
        raise io.UnsupportedOperation


@pytest.mark.parametrize(
    ("stdout", "code"),
    [
        (None, ExitCode.OK),
        (Stream(errno.EPIPE), ExitCode.OK),
        (Stream(errno.ENOSPC), ExitCode.UNREADY),
        (Stream(errno.EIO), ExitCode.UNREADY),
    ],
)
def test_a_result_that_is_not_read_is_no_failure_and_one_that_is_lost_is(
    stdout: Stream | None, code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    assert typed("version") == code


@pytest.mark.parametrize("stderr", [None, Stream(errno.EPIPE), Stream(errno.ENOSPC)])
def test_a_log_that_cannot_be_written_stops_nothing(
    stderr: Stream | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    Terminal().note("line")
    assert typed("enrol") == ExitCode.USAGE


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[2Jb", "a\u2028b", "a\udcffb"])
def test_a_path_makes_no_second_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert typed("run", "--config", str(folder)) == ExitCode.USAGE
    _, err = capfd.readouterr()
    assert (err.count("\n"), len(err.splitlines())) == (1, 1)
    assert "a?" in err


def test_a_relative_path_where_the_folder_is_gone_is_a_usage_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert typed("status", "--config", "agent.env") == ExitCode.USAGE
    assert "is gone" in capfd.readouterr().err
    assert typed("doctor", "--config", "agent.env") == ExitCode.DOCTOR
    assert "is gone" in capfd.readouterr().out
    assert typed("status", "--config", "/nonexistent/agent.env") == ExitCode.NOT_ENROLLED


def test_any_text_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    make_streams_safe()
    Terminal().result("Zürich \udcff")
    assert stream.buffer.getvalue() == b"Z\\xfcrich \\udcff\n"


@pytest.mark.parametrize(
    "arguments",
    [["version"], ["--version"], ["--version", "run"], ["--version", "enroll", "--url", "x"]],
)
def test_the_version_is_printed_by_a_command_and_by_an_option(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert typed(*arguments) == ExitCode.OK
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (f"{__version__}\n", "")
