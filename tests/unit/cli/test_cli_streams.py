"""Streams, alphabets and homes that do not work: a documented exit code, and no traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest
from rollcall_cli.exits import CliError
from rollcall_cli.logins import Logins
from rollcall_cli.screen import ClosedStream, own_streams

from tests.unit.cli.fakes import KEY, URL, Machine, agent, listed, ok
from tests.unit.cli.test_cli_login import LOGGING_IN, LOGIN, ORGANIZATION, SESSION, opened
from tests.unit.cli.test_cli_secrets_kept import broken

NAMES = ["web-\u0441\u0435\u0440\u0432\u0435\u0440", "web-\U0001f4a5", "web-\u6771\u4eac"]


def run_process(
    command: str, *, stdin: int = subprocess.DEVNULL, **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the real process by a shell, which closes streams and fills pipes."""
    given = {"PATH": os.environ["PATH"], **environ}
    rollcall = f"{sys.executable} -m rollcall_cli"
    return subprocess.run(  # noqa: S603 - the test's own words
        ["/bin/bash", "-c", command.replace("ROLLCALL", rollcall)],
        env=given,
        stdin=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("ROLLCALL --version >&-", 74),
        ("ROLLCALL --help >/dev/full", 74),
        ("ROLLCALL --version | head -0; exit ${PIPESTATUS[0]}", 141),
        ("ROLLCALL --version 2>&-", 0),
        ("ROLLCALL agent 2>&- <&-", 2),
        ("PYTHONIOENCODING=ascii ROLLCALL token show --help", 0),
        ("COLUMNS=0 TERM=dumb ROLLCALL agent --help", 0),
    ],
)
def test_the_process_ends_with_its_code_and_without_a_traceback(command: str, code: int) -> None:
    ran = run_process(command)
    assert ran.returncode == code, ran.stderr
    assert b"Traceback" not in ran.stderr
    assert b"Exception ignored" not in ran.stderr


@pytest.mark.parametrize("kind", ["closed", "full", "pipe", "read only"])
@pytest.mark.parametrize(
    "words",
    [("agent", "list"), ("agent", "list", "--json"), ("agent", "show", agent()["agent_id"])],
)
def test_a_result_that_cannot_be_written_is_no_defect(
    machine: Machine, kind: str, words: tuple[str, ...]
) -> None:
    machine.plane.on("GET /agents", listed("agents", *[agent(number=n) for n in range(9)]))
    machine.plane.on("GET /environments", listed("environments"))
    machine.plane.on(f"GET /agents/{agent()['agent_id']}", ok(agent()))
    with broken(kind) as stdout:
        ran = machine.run(*words, stdout=stdout)
    # A pipe whose reader has seen enough is nothing to tell anybody about.
    expected = (141, "") if kind == "pipe" else (74, "error: stdout cannot be written: ")
    assert ran.code == expected[0]
    assert ran.err.startswith(expected[1])
    assert len(ran.err.splitlines()) == (0 if kind == "pipe" else 1)


def test_a_watch_whose_reader_has_gone_ends(machine: Machine) -> None:
    row = agent(status="offline")
    machine.plane.on(f"GET /agents/{row['agent_id']}", ok(row))
    with broken("pipe") as stdout:
        assert machine.run("agent", "watch", row["agent_id"], stdout=stdout).code == 141
    assert machine.clock.sleeps == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("terminal", [False, True])
def test_what_an_alphabet_lacks_is_written_as_an_escape(
    machine: Machine, name: str, terminal: bool
) -> None:
    machine.plane.on("GET /agents", listed("agents", agent(name)))
    machine.plane.on("GET /environments", listed("environments"))
    raw = io.BytesIO()
    stdout = Narrow(raw, terminal=terminal)
    ran = machine.run("agent", "list", stdout=stdout)
    stdout.flush()
    assert ran.code == 0
    assert name.encode("ascii", "backslashreplace") in raw.getvalue()
    assert raw.getvalue().isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_the_streams_of_the_process_show_what_they_can(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stdin", None)
    screen = own_streams()
    for name in NAMES:
        screen.result(name)
        assert name.encode(encoding, "backslashreplace") in raw.getvalue()
    with pytest.raises(CliError, match="stdin cannot be read"):
        screen.read_line()


class Narrow(io.TextIOWrapper):
    """A stdout that knows ASCII alone, made as `own_streams` makes it."""

    def __init__(self, raw: io.BytesIO, *, terminal: bool) -> None:
        super().__init__(raw, encoding="ascii", errors="backslashreplace")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("columns", ["0", "1", "-5", "many", ""])
def test_an_odd_width_is_no_defect(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    machine.plane.on("GET /agents", listed("agents", agent()))
    machine.plane.on("GET /environments", listed("environments"))
    ran = machine.run("agent", "list", terminal=True)
    assert ran.code == 0
    assert agent()["agent_id"] in ran.out


def undecodable() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), encoding="utf-8")


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (ClosedStream(), "stdin cannot be read"),
        (undecodable(), "no text"),
        (io.StringIO(""), "no password"),
    ],
)
def test_a_stdin_that_cannot_be_read_is_said_to_be_so(
    machine: Machine, stdin: TextIO, said: str
) -> None:
    machine.environ.clear()
    ran = machine.run(*LOGGING_IN, stdin=stdin)
    assert (ran.code, machine.plane.requests) == (2, [])
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.config"),
        ({"HOME": "/home/ada", "XDG_CONFIG_HOME": "relative"}, "/home/ada/.config"),
        ({"HOME": "/home/ada", "XDG_CONFIG_HOME": ""}, "/home/ada/.config"),
        ({"HOME": "relative", "XDG_CONFIG_HOME": "/etc/x"}, "/etc/x"),
    ],
)
def test_the_folder_of_the_sessions_is_an_absolute_one(
    environ: dict[str, str], folder: str
) -> None:
    assert Logins.of(environ).path == Path(folder) / "rollcall" / "credentials.json"


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "."}])
def test_without_a_home_in_the_environment_the_system_is_asked(environ: dict[str, str]) -> None:
    path = Logins.of(environ).path
    assert path is None or path.is_absolute()


def test_without_any_home_one_may_work_and_not_log_in() -> None:
    logins = Logins(None)
    assert (logins.current_url(), logins.find(URL)) == (None, None)
    logins.forget(URL)
    with pytest.raises(Exception, match="There is no home folder"):
        logins.check_writable()


@pytest.mark.parametrize("place", ["a file", "missing", "locked"])
def test_a_credential_of_the_environment_needs_no_home(
    machine: Machine, place: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    if place == "a file":
        home.write_text("")
    elif place == "locked":
        home.mkdir(mode=0o000)
    machine.environ["XDG_CONFIG_HOME"] = str(home)
    machine.plane.on("GET /me", ok({}))
    assert machine.run("whoami").code == 0
    if home.exists():
        home.chmod(0o700)


VERSION_2 = '{"version": 2, "sessions": {}}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is damaged"),
        (b"[]", "is damaged"),
        (b"\x00\x01\x02", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b'{"version": "x"}', "newer rollcall"),
        (VERSION_2.encode(), "newer rollcall"),
    ],
)
def test_a_file_of_sessions_that_cannot_be_used_is_one_line(
    machine: Machine, content: bytes, said: str
) -> None:
    machine.environ.clear()
    machine.environ["ROLLCALL_API_BASE_URL"] = URL
    machine.credentials.parent.mkdir(parents=True)
    machine.credentials.write_bytes(content)
    machine.credentials.chmod(0o600)
    for words in (("whoami",), LOGGING_IN, ("logout",)):
        ran = machine.run(*words, stdin="x")
        assert (ran.code, machine.plane.requests) == (2, [])
        assert said in ran.err
        assert len(ran.err.splitlines()) == 1
    assert machine.credentials.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"sessions": []}'])
def test_a_file_without_sessions_is_no_error(machine: Machine, content: bytes) -> None:
    machine.environ.clear()
    machine.environ["ROLLCALL_API_BASE_URL"] = URL
    machine.credentials.parent.mkdir(parents=True)
    machine.credentials.write_bytes(content)
    machine.credentials.chmod(0o600)
    assert machine.run("whoami").code == 3
    machine.plane.on(LOGIN, opened(SESSION, ORGANIZATION))
    assert machine.run(*LOGGING_IN, stdin="x").code == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_file_that_an_editor_saved_otherwise_is_read(machine: Machine, encoding: str) -> None:
    machine.environ.clear()
    machine.plane.on(LOGIN, opened(SESSION, ORGANIZATION)).on("GET /me", ok({}))
    machine.run(*LOGGING_IN, stdin="x")
    machine.credentials.write_bytes(machine.credentials.read_text().encode(encoding))
    assert machine.run("whoami").code == 0


@pytest.mark.parametrize("session", ["rcs_x\ny", "rcs_\u00a0", "", 7, None, "rce_token"])
def test_a_session_that_no_header_takes_is_none(machine: Machine, session: object) -> None:
    machine.environ.clear()
    content = {"current": URL, "sessions": {URL: {"session": session}}}
    machine.credentials.parent.mkdir(parents=True)
    machine.credentials.write_text(json.dumps(content))
    machine.credentials.chmod(0o600)
    ran = machine.run("whoami")
    assert (ran.code, machine.plane.requests) == (3, [])


@pytest.mark.parametrize("around", ["{}\n", " {}\r\n", "\u00a0{}\u00a0", "\t{}"])
def test_blanks_around_a_credential_and_a_url_do_no_harm(machine: Machine, around: str) -> None:
    machine.environ = {
        "ROLLCALL_API_BASE_URL": around.format(URL + "/"),
        "ROLLCALL_CREDENTIAL": around.format(KEY),
    }
    machine.plane.on("GET /me", ok({}))
    assert machine.run("whoami").code == 0
    assert machine.plane.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f'"{KEY}"', "in quotes"),
        (f"\u2018{KEY}\u2019", "in quotes"),
        (f"{KEY}\u200b", "a character in it that none has"),
        (f"{KEY}\n{KEY}", "a character in it that none has"),
        (f"Bearer {KEY}", "It must start with"),
        ("rce_hunter2", "holds an enrollment token"),
        ("rca_hunter2", "holds a runtime key"),
        ("hunter2", "no credential of an operator"),
        ("\ufeff" + KEY, "It must start with"),
    ],
)
def test_what_is_wrong_with_a_credential_is_said_without_it(
    machine: Machine, given: str, said: str
) -> None:
    machine.environ["ROLLCALL_CREDENTIAL"] = given
    ran = machine.run("agent", "list")
    assert (ran.code, machine.plane.requests) == (2, [])
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not any(secret in ran.err for secret in (KEY, "hunter2"))


@pytest.mark.parametrize(
    "end", ["/api/v1", "/api/v1/", "/api/v1/agents", "//api/v1", "/install/install.sh"]
)
def test_a_route_that_was_copied_with_the_url_is_left_out(machine: Machine, end: str) -> None:
    machine.environ["ROLLCALL_API_BASE_URL"] = URL + end
    machine.plane.on("GET /agents", ok({"agents": [], "next_cursor": None}))
    assert machine.run("agent", "list").code == 0


@pytest.mark.parametrize("words", [("whoami",), ("agent", "list"), LOGGING_IN, ("logout",)])
def test_an_interrupt_at_the_network_is_no_defect(machine: Machine, words: tuple[str, ...]) -> None:
    for route in ("GET /me", "GET /agents", LOGIN):
        machine.plane.on(route, KeyboardInterrupt())
    if words[0] in {"login", "logout"}:
        machine.environ.clear()
    if words == ("logout",):
        machine.plane.on(LOGIN, opened(SESSION, ORGANIZATION))
        machine.run(*LOGGING_IN, stdin="x")
        machine.plane.on("POST /auth/logout", KeyboardInterrupt())
    ran = machine.run(*words, stdin="x")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
