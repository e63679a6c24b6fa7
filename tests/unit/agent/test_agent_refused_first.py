"""A configuration that cannot be used ends every command that acts before it does anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.cli import app
from rollcall_agent.commands.entry import enter
from rollcall_agent.exits import ExitCode

ACTING = (
    ["enroll", "--token-stdin"],
    ["run"],
    ["run", "--once"],
    ["upload", "file", "--kind", "state_snapshot"],
    ["decommission", "--yes"],
    ["upgrade"],
    ["service", "install"],
)
ENROLLED = (
    "ROLLCALL_API_BASE_URL=https://cp.invalid\nROLLCALL_AGENT_ID=agt_1\n"
    "ROLLCALL_AGENT_API_KEY=rca_key\n"
)


def typed(arguments: list[str], monkeypatch: pytest.MonkeyPatch, config: Path) -> int:
    monkeypatch.setenv("ROLLCALL_CONFIG", str(config))
    return enter(lambda: app(arguments, standalone_mode=False), arguments)


@pytest.mark.parametrize("command", ACTING, ids=" ".join)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ROLLCALL_SELF_UPGRADE=maybe", "ROLLCALL_SELF_UPGRADE must be 1, true, yes or on"),
        ("ROLLCALL_NO_SERVICE=2", "ROLLCALL_NO_SERVICE must be 1, true, yes or on"),
        ("ROLLCALL_TOKEN='rce_a", "agent.env, line 4: a quote is not closed"),
        ("ROLLCALL_X: y", "agent.env, line 4: it is not NAME=VALUE"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_first(
    command: list[str], line: str, said: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = tmp_path / "agent.env"
    config.write_text(f"{ENROLLED}{line}\n")
    config.chmod(0o600)
    assert typed(command, monkeypatch, config) == ExitCode.USAGE
    out, err = capfd.readouterr()
    assert said in err
    assert (out, err.count("\n"), err.startswith("error: ")) == ("", 1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["agent.env"]
    assert config.read_text() == f"{ENROLLED}{line}\n"


def test_a_wrong_switch_keeps_nobody_from_looking(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "agent.env"
    config.write_text("ROLLCALL_ALLOW_HTTP=maybe\n")
    assert typed(["version"], monkeypatch, config) == ExitCode.OK
    assert typed(["status"], monkeypatch, config) == ExitCode.NOT_ENROLLED
    assert str(config) in capfd.readouterr().out
