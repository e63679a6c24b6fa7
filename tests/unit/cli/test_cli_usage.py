"""A wrong command line: one line, and nothing of what was typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rollcall_cli import __version__
from rollcall_cli.app import app, main
from rollcall_client.arguments import credential_family

from tests.unit.cli.fakes import AGENT, ENVIRONMENT, TOKEN, Machine

SECRET = "hunter2"
FAMILIES = ("rca", "rce", "rci", "rco", "rcp", "rcs", "rcv")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All commands, by their words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(typer.main.get_command(app)))


def assert_refused(machine: Machine, *words: str) -> str:
    """The command line is refused in one line that repeats nothing."""
    ran = machine.run(*words)
    assert (ran.code, ran.out, machine.plane.requests) == (2, "", [])
    assert len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("error: ")
    assert SECRET not in ran.err
    return ran.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_repeats_what_was_typed(machine: Machine, words: tuple[str, ...]) -> None:
    many = [SECRET] * 9
    if words not in {("agent", "label"), ("agent", "watch")}:  # these take any number
        assert "Next: rollcall " in assert_refused(machine, *words, *many)
    assert_refused(machine, *words, f"--{SECRET}")
    assert_refused(machine, *words, f"--password={SECRET}")
    assert_refused(machine, *words, "--password", SECRET)
    assert_refused(machine, *words, f"-x{SECRET}")
    assert_refused(machine, *words, f"--json={SECRET}")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("family", ["rce", "rcs"])
def test_a_credential_on_the_command_line_is_neither_sent_nor_repeated(
    machine: Machine, words: tuple[str, ...], family: str
) -> None:
    said = assert_refused(machine, *words, f"{family}_{SECRET}")
    assert "Next: have it revoked" in said


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "form",
    [
        ("agent", "show", "{}"),
        ("agent", "list", "--name", "{}"),
        ("agent", "list", "--name={}"),
        ("agent", "list", "-e{}"),
        ("agent", "revoke", AGENT, "--note", "we lost {} today", "--yes"),
        ("token", "mint", ENVIRONMENT, "--ttl", "{}"),
        ("token", "mint", ENVIRONMENT, "--label", "key={}"),
        ("token", "mint", ENVIRONMENT, "--output", "here/{}"),
        ("login", "--url", "https://x:{}@cp.example"),
        ("login", "--username", "{}"),
        ("{}",),
        ("--patience", "{}", "agent", "list"),
    ],
)
def test_every_family_is_known_wherever_it_stands(
    machine: Machine, family: str, form: tuple[str, ...]
) -> None:
    said = assert_refused(machine, *(word.format(f"{family}_{SECRET}") for word in form))
    assert "what looks like" in said


@pytest.mark.parametrize(
    "text",
    ["source_type", "force_1", "resource_x", "rce_", "the rce_ prefix", "rcx_abc", "-psource_a"],
)
def test_what_is_no_credential_is_not_taken_for_one(text: str) -> None:
    assert credential_family(text) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("agent", "lits"), "Did you mean list?"),
        (("agnet",), "Did you mean agent?"),
        (("agent", "list", "--enviroment", SECRET), "Did you mean --environment?"),
        (("--json", "agent", "list"), "options stand after their command"),
        (("--patience", "3"), "none was given"),
        (("token", "mint"), "ENVIRONMENT is missing. Next: rollcall token mint --help"),
        (("key", "create", "x"), "--scope is missing."),
        (("agent", "list", "--limit"), "--limit needs a value."),
        (("agent", "list", "--all=yes"), "--all stands alone"),
        (("token", "mint", "x", "--uses", SECRET), "must be a whole number, at least 1."),
        (("token", "mint", "x", "--uses", "0"), "must be a whole number, at least 1."),
        (("agent", "watch", "x", "--timeout", SECRET), "must be a number from 1 to 86400."),
        (("agent", "watch", "x", "--timeout", "nan"), "must be a number from 1 to 86400."),
        (("--patience", SECRET, "version"), "must be a number from 0 to 3600."),
        (("environment", "set", "x", "--percent", "101"), "a whole number from 0 to 100."),
        (("token", "mint", "x", "--ttl", SECRET), "--ttl must be a length of time"),
        (("token", "mint", "x", "--label", SECRET), "--label must be key=value."),
        (("key", "rotate", "x", "--overlap", SECRET), "--overlap must be"),
        (("audit", "--since", SECRET), "must be a length of time"),
        (("audit", "--since", "2026-01-01T00:00:00"), "needs its zone"),
        (("audit", "--resource", SECRET), "--resource must be"),
        (("audit", "--export", f"/{SECRET}/{SECRET}"), "does not exist"),
        (("token", "mint", ENVIRONMENT, "--output", f"/{SECRET}/{SECRET}"), "Nothing was made."),
        (("token", "show", SECRET), "an enrollment token's id"),
        (("job", "wait", SECRET), "a job's id"),
        (("session", "revoke", SECRET), "a session's id"),
        (("invite", "revoke", SECRET), "an invitation's id"),
        (("agent", "release", AGENT, SECRET), "keep or with split"),
        (("agent", "label", AGENT, SECRET), "key=value"),
        (("login", "--url", f"https://a:{SECRET}@h"), "must not hold a user name"),
        (("agent", "show", "\udcff"), "no text"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_says_what_is_wrong(
    machine: Machine, words: tuple[str, ...], said: str
) -> None:
    # Nothing is sent but the question how the labels are.
    if words[:2] == ("agent", "label"):
        machine.plane.on(f"GET /agents/{AGENT}")
        ran = machine.run(*words, "--replace")
        assert (ran.code, said in ran.err, SECRET in ran.err) == (2, True, False)
        return
    assert said in assert_refused(machine, *words)


def test_a_group_alone_shows_its_help(machine: Machine) -> None:
    ran = machine.run("agent")
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: rollcall agent" in ran.err


def test_the_version_is_an_option_too(machine: Machine) -> None:
    for words in (("--version",), ("version",), ("--version", "agent", "list")):
        ran = machine.run(*words)
        assert (ran.code, ran.out, ran.err) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        ("complete_bash", f"rollcall agent show rce_{SECRET}"),
        ("complete_bash", f"rollcall token mint x --output rce_{SECRET}"),
        ("complete_zsh", f"rollcall agent show rce_{SECRET}"),
        ("complete_fish", f"rollcall agent show rce_{SECRET}"),
        ("complete_bash", f"rollcall audit --resource rce_{SECRET} --f"),
        ("complete_bash", f'rollcall --{SECRET} "'),
        ("complete_zsh", f"rollcall {SECRET} --nonsense '"),
        ("complete_bash", ""),
        (SECRET, f"rollcall agent show {SECRET}"),
    ],
)
def test_completion_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    instruction: str,
    line: str,
) -> None:
    monkeypatch.setenv("_ROLLCALL_COMPLETE", instruction)
    monkeypatch.setenv("ROLLCALL_CREDENTIAL", "")  # so that no name is asked for
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(max(len(line.split()) - 1, 0)))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    with pytest.raises(SystemExit):
        main([])
    said = "".join(capfd.readouterr())
    assert SECRET not in said
    assert "Traceback" not in said
    assert "rce_" not in line or said == ""


def test_an_id_that_is_no_credential_is_still_taken(machine: Machine) -> None:
    assert machine.run("token", "show", TOKEN).code == 1  # the fake knows no such route
