"""A host that is enrolled already is told where, when another control plane was named."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.commands.enroll import already_enrolled, enroll
from rollcall_agent.exits import AgentError
from rollcall_agent.settings import Settings

HERE = "https://cp.example/prod"
OTHER = "https://other.example/prod"
IDENTITY = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n"
ELSEWHERE = (
    f"Already enrolled as agt_1: this host is enrolled at {HERE}, not at {OTHER}; nothing to do, "
    f"and no token was used. To move it to {OTHER}: enroll --replace --url {OTHER}, with a token "
    "of that one."
)
SAME = (
    "Already enrolled as agt_1; nothing to do, and no token was used. "
    "To give this host a new identity: enroll --replace."
)


def say(tmp_path: Path, text: str, url: str | None = None, **environment: str) -> str:
    path = tmp_path / "agent.env"
    path.write_text(text)
    path.chmod(0o600)
    settings = Settings.load(path, environment)
    identity = settings.identity()
    assert identity is not None
    return already_enrolled(settings, identity, url)


@pytest.mark.parametrize(
    "name", ["ROLLCALL_API_BASE_URL", "BYTEOR_API_BASE_URL", "RM_SERVER", "BACKEND_URL"]
)
def test_another_url_is_named_with_the_one_of_the_identity(tmp_path: Path, name: str) -> None:
    text = f"{name}={HERE}/\n{IDENTITY}"
    assert say(tmp_path, text, f"{OTHER}/") == ELSEWHERE
    assert say(tmp_path, text, **{name: OTHER}) == ELSEWHERE


@pytest.mark.parametrize(
    "url", [HERE, f"{HERE}/", "HTTPS://CP.Example:443/prod", f" {HERE} ", None, ""]
)
def test_the_same_url_in_other_letters_is_the_same(tmp_path: Path, url: str | None) -> None:
    assert say(tmp_path, f"ROLLCALL_API_BASE_URL={HERE}\n{IDENTITY}", url) == SAME


@pytest.mark.parametrize(
    "url",
    [
        "https://cp.example/dev",
        "https://cp.example",
        "https://cp.example:8443/prod",
        "http://127.0.0.1/prod",
        "https://cp.example/Prod",
    ],
)
def test_another_stage_port_or_scheme_is_another_control_plane(tmp_path: Path, url: str) -> None:
    said = say(tmp_path, f"ROLLCALL_API_BASE_URL={HERE}\n{IDENTITY}", url)
    assert f"is enrolled at {HERE}, not at {url};" in said


def test_an_identity_of_the_environment_belongs_to_the_url_of_the_environment(
    tmp_path: Path,
) -> None:
    own = dict(line.split("=") for line in IDENTITY.split())
    text = f"ROLLCALL_API_BASE_URL={OTHER}\n"
    assert say(tmp_path, text, ROLLCALL_API_BASE_URL=HERE, **own) == SAME
    assert say(tmp_path, text, OTHER, ROLLCALL_API_BASE_URL=HERE, **own) == ELSEWHERE


def test_where_no_url_is_known_none_is_named_and_an_unusable_one_is_refused(
    tmp_path: Path,
) -> None:
    assert say(tmp_path, IDENTITY, OTHER) == SAME
    broken = f"ROLLCALL_API_BASE_URL=https://u:canary@cp.example\n{IDENTITY}"
    assert say(tmp_path, broken, OTHER) == SAME
    with pytest.raises(AgentError) as refused:
        say(tmp_path, IDENTITY, "https://u:canary@other.example")
    assert "canary" not in refused.value.line


def test_the_command_says_so_and_leaves_the_file_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.env"
    path.write_text(f"ROLLCALL_API_BASE_URL={HERE}\n{IDENTITY}")
    path.chmod(0o600)
    before = path.read_bytes()
    enroll(config=path, url=OTHER)
    assert capsys.readouterr().out == f"{ELSEWHERE}\n"
    assert path.read_bytes() == before
