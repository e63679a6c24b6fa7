"""A secret is made only where it can be written, and ended where it was lost."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest
from rollcall_cli.screen import ClosedStream

from tests.unit.cli.fakes import ENVIRONMENT, TOKEN, Machine, ok, problem, token
from tests.unit.cli.test_cli_login import LOGGING_IN, LOGIN, ORGANIZATION, SESSION, opened

SECRET = "rce_minted_secret"
ROTATED = "key_" + "1" * 20


@dataclass(frozen=True)
class Making:
    """A command whose answer is a secret, and the request that ends what it made."""

    words: tuple[str, ...]
    route: str
    answer: dict[str, object]
    ends: str

    def __str__(self) -> str:
        return " ".join(self.words[:2])


MAKING = [
    Making(
        ("token", "mint", ENVIRONMENT),
        "POST /agent-enrollment/tokens",
        token(token=SECRET),
        f"POST /agent-enrollment/tokens/{TOKEN}/revoke",
    ),
    Making(
        ("key", "create", "ci", "-s", "agents:read"),
        "POST /organization-keys",
        {"organization_key_id": "key_1", "organization_key": SECRET},
        "DELETE /organization-keys/key_1",
    ),
    Making(
        ("personal-token", "create", "ci", "-s", "agents:read"),
        "POST /me/tokens",
        {"personal_token_id": "pat_1", "token": SECRET},
        "DELETE /me/tokens/pat_1",
    ),
    Making(
        ("invite", "create", "--role", "viewer"),
        "POST /invitations",
        {"invitation_id": "inv_1", "invitation": SECRET},
        "DELETE /invitations/inv_1",
    ),
]
ROTATING = Making(
    ("key", "rotate", ROTATED, "--yes"),
    f"POST /organization-keys/{ROTATED}/rotate",
    {"organization_key_id": ROTATED, "organization_key": SECRET},
    "",
)


class FailsAtTheEnd(io.StringIO):
    """A stdout that shows only when it is written that it takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, _: str) -> int:
        raise self._error


@contextmanager
def broken(kind: str) -> Iterator[TextIO]:
    """A stdout that does not work."""
    with ExitStack() as stack:
        if kind == "closed":
            yield ClosedStream()  # type: ignore[misc]
        elif kind == "full":
            yield stack.enter_context(Path("/dev/full").open("w"))
        elif kind == "read only":
            yield os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
        else:
            reader, writer = os.pipe()
            os.close(reader)
            yield os.fdopen(writer, "w")


@pytest.mark.parametrize("making", [*MAKING, ROTATING], ids=str)
@pytest.mark.parametrize("kind", ["closed", "full", "pipe", "read only"])
def test_nothing_is_made_where_stdout_takes_nothing(
    machine: Machine, making: Making, kind: str
) -> None:
    machine.plane.on(making.route, ok(making.answer, 201))
    for form in ((), ("--json",)):
        with broken(kind) as stdout:
            ran = machine.run(*making.words, *form, stdout=stdout)
            assert (ran.code, machine.plane.requests) == (74, [])
            assert ran.err.startswith("error: stdout cannot be written: ")
            assert ran.err.endswith("Nothing was made.\n")


@pytest.mark.parametrize("making", MAKING, ids=str)
@pytest.mark.parametrize("error", [BrokenPipeError(32, "x"), OSError(28, "No space left")])
def test_what_was_made_and_could_not_be_shown_is_ended(
    machine: Machine, making: Making, error: OSError
) -> None:
    machine.plane.on(making.route, ok(making.answer, 201)).on(making.ends, ok())
    ran = machine.run(*making.words, stdout=FailsAtTheEnd(error))
    assert (ran.code, len(machine.plane.asked(making.ends))) == (74, 1)
    assert "is revoked: its secret reached no one." in ran.err
    assert len(ran.err.splitlines()) == 1
    assert SECRET not in ran.err


def test_a_token_that_could_not_be_ended_either_is_named(machine: Machine) -> None:
    making = MAKING[0]
    machine.plane.on(making.route, ok(making.answer, 201))
    machine.plane.on(making.ends, problem(403, "permission_missing"))
    error = OSError(28, "No space left")
    ran = machine.run(*making.words, stdout=FailsAtTheEnd(error))
    assert ran.code == 74
    assert f"{TOKEN} could not be revoked, and is active" in ran.err
    assert f"rollcall token revoke {TOKEN}" in ran.err
    assert SECRET not in ran.err


def test_a_lost_secret_of_a_rotation_does_not_end_the_key(machine: Machine) -> None:
    machine.plane.on(ROTATING.route, ok(ROTATING.answer, 201))
    error = OSError(28, "No space left")
    ran = machine.run(*ROTATING.words, stdout=FailsAtTheEnd(error))
    assert (ran.code, len(machine.plane.requests)) == (74, 1)
    assert "the old one ends after 1d" in ran.err
    assert f"rollcall key rotate {ROTATED}" in ran.err


@pytest.mark.parametrize("making", [*MAKING, ROTATING], ids=str)
def test_nothing_is_made_where_the_file_cannot_be(
    machine: Machine, making: Making, tmp_path: Path
) -> None:
    machine.plane.on(making.route, ok(making.answer, 201))
    there, locked, dangling = tmp_path / "there", tmp_path / "locked", tmp_path / "dangling"
    there.write_text("something else")
    locked.write_text("")  # where a folder should be
    dangling.symlink_to(tmp_path / "nowhere")
    wrong = (there, tmp_path, dangling, tmp_path / "missing" / "f", locked / "f", "/dev/full", "/")
    for output in wrong:
        ran = machine.run(*making.words, "--output", str(output))
        assert (ran.code, machine.plane.requests) == (2, [])
        assert len(ran.err.splitlines()) == 1
    assert there.read_text() == "something else"


@pytest.mark.parametrize("making", [*MAKING, ROTATING], ids=str)
def test_a_file_takes_the_secret_and_stdout_the_rest(
    machine: Machine, making: Making, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    machine.plane.on(making.route, ok(making.answer, 201))
    ran = machine.run(*making.words, "--output", str(file), "--json")
    assert (ran.code, file.read_text()) == (0, f"{SECRET}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRET not in ran.out + ran.err
    assert set(json.loads(ran.out)) < set(making.answer)


@pytest.mark.parametrize("making", MAKING, ids=str)
def test_a_file_that_takes_nothing_after_all_is_no_reason_to_print_the_secret(
    machine: Machine, making: Making, tmp_path: Path
) -> None:
    file = tmp_path / "secret"

    def close_it(_: object) -> object:
        # What a file system does that went away meanwhile.
        for descriptor in Path("/proc/self/fd").iterdir():
            if os.path.realpath(descriptor) == str(file):
                os.dup2(os.open(os.devnull, os.O_RDONLY), int(descriptor.name))
        return ok(making.answer, 201)

    machine.plane.on(making.route, close_it).on(making.ends, ok())
    ran = machine.run(*making.words, "--output", str(file))
    assert (ran.code, len(machine.plane.asked(making.ends))) == (74, 1)
    assert SECRET not in ran.out + ran.err
    assert not file.exists()


@pytest.mark.parametrize("reply", [problem(403, "scope_missing"), KeyboardInterrupt()])
def test_a_reserved_file_is_gone_where_nothing_was_made(
    machine: Machine, reply: object, tmp_path: Path
) -> None:
    for making in MAKING:
        machine.plane.on(making.route, reply)
        ran = machine.run(*making.words, "--output", str(tmp_path / "secret"))
        assert ran.code in {1, 130}
        assert list(tmp_path.iterdir()) == []


def test_a_mint_that_was_interrupted_says_what_may_be(machine: Machine) -> None:
    machine.plane.on(MAKING[0].route, KeyboardInterrupt())
    ran = machine.run(*MAKING[0].words)
    assert (ran.code, "may have been minted" in ran.err) == (130, True)


def test_what_follows_a_mint_can_be_pasted_and_holds_no_secret(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine.plane.on(MAKING[0].route, ok(MAKING[0].answer, 201))
    script = "curl -fsSL https://cp.example/prod/install/install.sh | sudo bash"
    file = tmp_path / "a b"
    said = machine.run(*MAKING[0].words, "--output", "a b").err
    assert f"  {script} -s -- --token-file '{file}'\n" in said
    enroll = "  sudo rollcall-agent enroll --url https://cp.example/prod"
    assert f"{enroll} --token-file '{file}'\n" in said
    said = machine.run(*MAKING[0].words).err
    assert f"  {script}\n" in said
    assert f"{enroll} --token-stdin\n" in said
    assert SECRET not in said


def test_no_one_logs_in_where_the_session_cannot_be_kept(machine: Machine, tmp_path: Path) -> None:
    machine.environ.clear()
    machine.plane.on(LOGIN, opened(SESSION, ORGANIZATION))
    (tmp_path / "config").write_text("a file")
    ran = machine.run(*LOGGING_IN, stdin="x")
    assert (ran.code, machine.plane.requests) == (2, [])
    assert "XDG_CONFIG_HOME" in ran.err


def test_a_session_that_could_not_be_kept_after_all_is_ended(machine: Machine) -> None:
    machine.environ.clear()

    def taken_away(_: object) -> object:
        folder = machine.credentials.parent
        folder.rmdir()
        folder.write_text("a file")
        return opened(SESSION, ORGANIZATION)

    machine.plane.on(LOGIN, taken_away).on("POST /auth/logout", ok())
    ran = machine.run(*LOGGING_IN, stdin="x")
    (ended,) = machine.plane.asked("POST /auth/logout")
    assert ended.headers["authorization"] == f"Bearer {SESSION}"
    assert (ran.code, SESSION in ran.err) == (74, False)
    assert "The session is revoked" in ran.err
