"""The operator's command line as people use it: log in, look after people and keys, log out."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, until
from tests.e2e.stack.cli_process import Cli

PASSWORD = "a long enough password of Ada"


@pytest.fixture
def admin(stack: LocalStack, tmp_path: Path, secrets_seen: set[str]) -> Iterator[Cli]:
    """The organization's first org_admin, logged in; what is printed never holds the session."""
    machine = Cli(tmp_path / "admin", stack.url)
    log_in(machine, stack.admin_username, stack.admin_password)
    session = session_of(machine)
    secrets_seen |= {stack.admin_password, session}
    yield machine
    assert not any(secret in text for text in machine.said for secret in (session, PASSWORD))
    assert not any(stack.admin_password in text for text in machine.said)


def log_in(machine: Cli, username: str, password: str) -> None:
    arguments = ("login", "--url", machine.url, "--username", username, "--password-stdin")
    machine.ok(*arguments, stdin=f"{password}\n")


def session_of(machine: Cli) -> str:
    content: Any = json.loads(machine.credentials_file.read_text())
    return str(content["sessions"][machine.url]["session"])


def test_somebody_logs_in_sees_where_and_logs_out(admin: Cli, stack: LocalStack) -> None:
    assert stat.S_IMODE(admin.credentials_file.stat().st_mode) == 0o600
    me = admin.json("whoami")
    assert (me["username"], me["organization"]) == (stack.admin_username, stack.organization)
    sessions = admin.json("session", "list")["sessions"]
    current = [one["session_id"] for one in sessions if one["current"]]
    assert len(current) == 1

    second = Cli(admin.folder.with_name("second"), stack.url)
    log_in(second, stack.admin_username, stack.admin_password)
    assert admin.run("session", "revoke", "--others", "--yes").returncode == 0
    ended = second.run("whoami")
    assert (ended.returncode, "rollcall login" in ended.stderr) == (3, True)
    assert admin.run("logout").returncode == 0
    assert admin.run("whoami").returncode == 3


def test_names_are_taken_for_ids(admin: Cli, stack: LocalStack, secrets_seen: set[str]) -> None:
    environment = next(
        row
        for row in admin.json("environments")["environments"]
        if row["environment_id"] == stack.environment
    )
    project = next(
        row for row in admin.json("projects")["projects"] if row["project_id"] == stack.project
    )
    written = f"{project['name']}/{environment['name']}"
    minted = admin.json("token", "mint", written)
    secrets_seen.add(minted["token"])
    assert minted["environment"] == stack.environment
    lines = admin.ok("token", "list", "-e", environment["name"], "--all").splitlines()
    mine = next(line for line in lines if minted["enrollment_token_id"] in line)
    assert environment["name"] in mine
    assert admin.run("agent", "list", "-e", "no-such-environment").returncode == 4
    assert admin.run("token", "revoke", minted["enrollment_token_id"], "--yes").returncode == 0


def test_a_personal_token_and_a_key_are_made_used_and_ended(
    admin: Cli, stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    secret = admin.ok("personal-token", "create", "ci", "--scope", "agents:read").strip()
    secrets_seen.add(secret)
    script = Cli(tmp_path / "script", stack.url, secret)
    assert script.run("agent", "list").returncode == 0
    refused = script.run("token", "list")
    assert (refused.returncode, "scope_missing" in refused.stderr) == (1, True)
    assert admin.run("personal-token", "revoke", "ci", "--yes").returncode == 0
    assert script.run("agent", "list").returncode == 3
    listed = admin.json("personal-token", "list")["personal_tokens"]
    assert {one["status"] for one in listed if one["name"] == "ci"} == {"revoked"}

    file = tmp_path / "key"
    made = admin.json("key", "create", "robot", "-s", "agents:read", "--output", str(file))
    secrets_seen.add(file.read_text().strip())
    robot = Cli(tmp_path / "robot", stack.url, file.read_text().strip())
    assert robot.run("agent", "list").returncode == 0
    fresh = admin.ok("key", "rotate", "robot", "--overlap", "0s", "--yes").strip()
    secrets_seen.add(fresh)
    assert robot.run("agent", "list").returncode == 3
    robot = replace(robot, credential=fresh)
    assert robot.run("agent", "list").returncode == 0
    assert made["organization_key_id"] in admin.ok("key", "list", "--all")
    assert admin.run("key", "revoke", "robot", "--yes").returncode == 0
    assert robot.run("agent", "list").returncode == 3


def test_somebody_is_invited_given_a_role_and_removed(
    admin: Cli, stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    project = admin.json("projects")["projects"][0]["name"]
    invitation = admin.ok("invite", "create", "--role", "viewer", "-p", f"{project}=operator")
    secrets_seen |= {invitation.strip(), PASSWORD}
    ada = Cli(tmp_path / "ada", stack.url)
    accepting = ("invite", "accept", "--url", stack.url, "--username", "ada", "--stdin")
    ada.ok(*accepting, stdin=f"{invitation.strip()}\n{PASSWORD}\n")
    again = ada.run(*accepting, stdin=f"{invitation.strip()}\n{PASSWORD}\n")
    assert (again.returncode, "invitation_used" in again.stderr) == (1, True)
    log_in(ada, "ada", PASSWORD)
    secrets_seen.add(session_of(ada))
    member = next(
        row for row in admin.json("member", "list")["members"] if row["username"] == "ada"
    )
    assert (member["role"], member["projects"]) == ("viewer", {stack.project: "operator"})
    refused = ada.run("member", "set-role", "ada", "org_admin")
    assert (refused.returncode, "permission_missing" in refused.stderr) == (1, True)

    assert admin.json("member", "set-role", "ada", "viewer", "-p", project)["role"] == "viewer"
    minting = ada.run("token", "mint", stack.environment)
    assert (minting.returncode, "permission_missing" in minting.stderr) == (1, True)
    assert admin.json("member", "set-role", "ada", "org_admin")["role"] == "org_admin"
    assert "ada" in admin.ok("member", "list", "-p", project)
    assert admin.run("member", "remove", "ada", "--yes").returncode == 0
    assert ada.run("agent", "list").returncode == 3

    unused = admin.json("invite", "create", "--role", "viewer")
    secrets_seen.add(unused["invitation"])
    assert admin.run("invite", "revoke", unused["invitation_id"], "--yes").returncode == 0
    assert {one["status"] for one in admin.json("invite", "list")["invitations"]} == {
        "used",
        "revoked",
    }


def test_somebody_of_two_organizations_switches_between_them(
    admin: Cli, calls: Calls, stack: LocalStack, secrets_seen: set[str]
) -> None:
    before = session_of(admin)
    made = calls.send("POST", "/organizations", {"name": "Second Ltd"}, credential=before)
    assert made.status_code == 201
    assert admin.run("switch", "Second Ltd").returncode == 0
    after = session_of(admin)
    secrets_seen.add(after)
    assert admin.json("whoami")["organization"] == made.json()["organization_id"]
    assert calls.send("GET", "/me", credential=before).status_code == 401
    assert admin.json("agent", "list")["agents"] == []
    assert {row["name"] for row in admin.json("organizations")["organizations"]} >= {"Second Ltd"}
    assert admin.run("switch", stack.organization).returncode == 0
    secrets_seen.add(session_of(admin))
    assert admin.json("whoami")["organization"] == stack.organization
    assert not any(after in text for text in admin.said)


def test_a_password_is_asked_for_without_an_echo(
    stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    machine = Cli(tmp_path / "terminal", stack.url)
    machine.folder.mkdir()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        machine.command("login", "--url", stack.url),
        env=machine.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = ""
        for prompt, answer in (
            ("Username", stack.admin_username),
            ("Password", stack.admin_password),
        ):
            while prompt not in shown:
                shown += os.read(ours, 4096).decode()
            os.write(ours, f"{answer}\n".encode())
        shown += until(lambda: _rest(ours, process), "the login ends")
        assert process.wait(20) == 0, shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    secrets_seen.add(session_of(machine))
    assert stack.admin_username in shown
    assert stack.admin_password not in shown


def _rest(terminal: int, process: subprocess.Popen[bytes]) -> str | None:
    """What is still shown, once the process has ended."""
    read = ""
    try:
        while chunk := os.read(terminal, 4096):
            read += chunk.decode()
    except OSError:  # nobody holds the other end any more
        process.wait(20)
        return read or " "
    return None


def test_two_logins_at_once_leave_one_whole_file(
    stack: LocalStack, tmp_path: Path, secrets_seen: set[str]
) -> None:
    machine = Cli(tmp_path / "twice", stack.url)
    machine.folder.mkdir()
    arguments = ("login", "--url", stack.url, "-u", stack.admin_username, "--password-stdin")
    both = [
        subprocess.Popen(
            machine.command(*arguments),
            env=machine.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        _, err = process.communicate(stack.admin_password, timeout=60)
        assert process.returncode == 0, err
    secrets_seen.add(session_of(machine))
    assert machine.json("whoami")["username"] == stack.admin_username
    assert [file.name for file in machine.credentials_file.parent.iterdir()] == ["credentials.json"]
