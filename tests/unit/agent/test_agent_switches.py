"""Switches mean the same everywhere; one that means nothing is refused before anything is done."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import typer
from rollcall_agent.commands.status import status
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.known_names import SWITCHES
from rollcall_agent.restart import start_again
from rollcall_agent.settings import Settings
from rollcall_agent.upgrade_settings import upgrades_itself
from rollcall_client.switches import OFF, ON

MEANINGLESS = (
    "2",
    "-1",
    "y",
    "n",
    "t",
    "enabled",
    "ja",
    "truee",
    "1.0",
    "on off",
    "\u0661",
    "rce_x",
)


def load(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    path = tmp_path / "agent.env"
    path.write_text(text)
    path.chmod(0o600)
    return Settings.load(path, environment)


def spellings(words: frozenset[str]) -> list[str]:
    return sorted(form for word in words for form in (word, word.upper(), f" {word.title()} "))


@pytest.mark.parametrize(
    ("written", "expected"),
    [(word, True) for word in spellings(ON)] + [(word, False) for word in spellings(OFF)],
)
def test_a_switch_says_the_same_in_environment_and_file(
    tmp_path: Path, written: str, expected: bool
) -> None:
    names = ("ROLLCALL_ALLOW_HTTP", "ROLLCALL_SELF_UPGRADE")
    in_file = load(tmp_path, "".join(f'{name}="{written}"\n' for name in names))
    in_environment = load(tmp_path, **dict.fromkeys(names, written))
    for settings in (in_file, in_environment):
        assert (settings.allow_http, upgrades_itself(settings)) == (expected, expected)


def test_an_empty_switch_is_not_set_and_the_environment_goes_first(tmp_path: Path) -> None:
    name = "ROLLCALL_ALLOW_HTTP"
    assert not load(tmp_path).allow_http
    assert upgrades_itself(load(tmp_path, ROLLCALL_SELF_UPGRADE=" "))
    assert load(tmp_path, f"{name}=yes\n", **{name: ""}).allow_http
    assert load(tmp_path, f"{name}=yes\n", **{name: "  "}).allow_http
    assert not load(tmp_path, f"{name}=yes\n", **{name: "off"}).allow_http


@pytest.mark.parametrize(
    ("name", "written"), list(zip(itertools.cycle(SWITCHES), MEANINGLESS, strict=False))
)
def test_a_switch_that_means_nothing_is_refused_wherever_it_stands(
    tmp_path: Path, name: str, written: str
) -> None:
    other = "ROLLCALL_SELF_UPGRADE=1\n"
    for text, environment, place in (
        (other, {name: written}, "the environment"),
        (f"{other}{name}='{written}'\n", {}, str(tmp_path / "agent.env")),
        (f"{other}{name}='{written}'\n", {name: "1"}, str(tmp_path / "agent.env")),
    ):
        with pytest.raises(AgentError) as refused:
            load(tmp_path, text, **environment)
        assert refused.value.exit_code is ExitCode.USAGE
        assert refused.value.line == (
            f"{name} must be 1, true, yes or on, or 0, false, no or off. "
            f"Next: correct it in {place}."
        )


def test_a_command_that_only_looks_does_not_judge_switches(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_text("ROLLCALL_SELF_UPGRADE=maybe\n")
    assert Settings.look(path, {}).value("ROLLCALL_SELF_UPGRADE") == "maybe"


def test_a_mistaken_switch_can_be_taken_as_not_set_for_looking(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_text("ROLLCALL_API_BASE_URL=https://cp.example/prod\nROLLCALL_ALLOW_HTTP=yes\n")
    mistaken = Settings.look(path, {"ROLLCALL_ALLOW_HTTP": "maybe"})
    assert list(mistaken.mistaken_switches()) == ["ROLLCALL_ALLOW_HTTP"]
    with pytest.raises(AgentError):
        mistaken.base_url()
    looking = mistaken.without_mistaken_switches()
    assert looking.base_url() == "https://cp.example/prod"
    assert not looking.allow_http
    with pytest.raises(AgentError, match="plain http is for this host only"):
        looking.base_url("http://cp.example/prod")
    right = Settings.look(path, {}).without_mistaken_switches()
    assert right.allow_http


@pytest.mark.parametrize(
    ("url", "name", "shown"),
    [
        ("http://cp.example/prod", "ROLLCALL_ALLOW_HTTP", "not asked: the URL cannot be used"),
        ("", "ROLLCALL_SELF_UPGRADE", "not configured"),
    ],
)
def test_status_warns_of_a_mistaken_switch_once_and_takes_it_as_not_set(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    name: str,
    shown: str,
) -> None:
    path = tmp_path / "agent.env"
    path.write_text(f"ROLLCALL_API_BASE_URL={url}\n{name}=yes\n")
    path.chmod(0o600)
    monkeypatch.setenv(name, "maybe")
    with pytest.raises(typer.Exit) as ended:
        status(config=path)
    assert ended.value.exit_code == ExitCode.NOT_ENROLLED
    said = capsys.readouterr()
    assert f"\ncontrol plane  {shown}\n" in said.out
    assert said.err.count("must be 1, true, yes or on") == 1
    assert f"warning: {name} must be 1, true, yes or on" in said.err


@pytest.mark.parametrize(("written", "starts_itself"), [("yes", False), ("1", False), ("no", True)])
def test_a_supervised_agent_does_not_start_itself(written: str, starts_itself: bool) -> None:
    started = list[str]()
    start_again(
        {"ROLLCALL_SUPERVISED": written},
        [],
        binary=Path("/opt/agent"),
        execute=lambda program, *_: started.append(program),
    )
    assert bool(started) is starts_itself
