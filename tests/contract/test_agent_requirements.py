"""The agent is built of what the tests run with, and of nothing that was not locked."""

import re
import tomllib
from pathlib import Path

import pytest

from infra.package import required

ROOT = Path(__file__).resolve().parents[2]
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    return dict(_PINNED.findall((ROOT / name).read_text("utf-8")))


def test_the_agent_is_built_of_the_versions_that_the_tests_run_with() -> None:
    tested, built = pinned("requirements-dev.txt"), pinned("requirements-agent.txt")
    shared = set(tested) & set(built)
    assert {"cryptography", "httpx", "psutil", "rich", "typer"} <= shared
    assert {name: built[name] for name in shared} == {name: tested[name] for name in shared}


@pytest.mark.parametrize("name", ["requirements-agent.in", "requirements-dev.in"])
def test_whatever_the_agent_depends_on_is_asked_for(name: str) -> None:
    agent = tomllib.loads((ROOT / "agent" / "pyproject.toml").read_text("utf-8"))
    wanted = required("\n".join(agent["project"]["dependencies"]))
    assert "httpx" in wanted
    assert wanted <= required((ROOT / name).read_text("utf-8"))


def test_every_line_is_locked_and_names_no_index() -> None:
    text = (ROOT / "requirements-agent.txt").read_text("utf-8")
    assert "index" not in text
    assert "://" not in text
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]
