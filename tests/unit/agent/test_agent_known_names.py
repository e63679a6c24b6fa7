"""The one list of settings holds what is read anywhere on a host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import rollcall_agent
import rollcall_cli
from rollcall_agent.known_names import KNOWN, SWITCHES, is_ours, is_unknown, nearest

from chalicelib import install

_NAME = re.compile(r"\bROLLCALL_[A-Z0-9_]*[A-Z0-9]\b")


def sources() -> list[Path]:
    return [
        *Path(rollcall_agent.__path__[0]).rglob("*.py"),
        *Path(rollcall_cli.__path__[0]).rglob("*.py"),
        *(path for path in Path(install.__path__[0]).iterdir() if path.suffix in {".sh", ".ps1"}),
    ]


def test_every_name_that_is_written_in_a_source_is_known() -> None:
    assert len(sources()) > 100
    used = {name for path in sources() for name in _NAME.findall(path.read_text())}
    assert used == KNOWN
    assert set(SWITCHES) - {"RM_FORCE_REENROLL"} < KNOWN


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("ROLLCALL_TOKN", "ROLLCALL_TOKEN"),
        ("ROLLCALL_ALOW_HTTP", "ROLLCALL_ALLOW_HTTP"),
        ("ROLLCALL_API_BASEURL", "ROLLCALL_API_BASE_URL"),
        ("ROLLCALL_BASE_URL", "ROLLCALL_API_BASE_URL"),
        ("ROLLCALL_CA_BUNDEL", "ROLLCALL_CA_BUNDLE"),
        ("ROLLCALL_SELFUPGRADE", "ROLLCALL_SELF_UPGRADE"),
        ("ROLLCALL_STATE_DIR", "ROLLCALL_STATE_FOLDER"),
        ("ROLLCALL_AGENT_KEY", "ROLLCALL_AGENT_API_KEY"),
        ("ROLLCAL_TOKEN", "ROLLCALL_TOKEN"),
        ("rollcall_token", "ROLLCALL_TOKEN"),
        ("Rollcall_Token", "ROLLCALL_TOKEN"),
        ("ROLLCALL_XYZZY_QUUX_42", None),
    ],
)
def test_a_mistyped_name_is_unknown_and_the_nearest_one_is_named(
    mistyped: str, meant: str | None
) -> None:
    assert is_unknown(mistyped)
    assert nearest(mistyped) == meant


@pytest.mark.parametrize("name", ["PATH", "RM_TOKEN", "RM_RETENTION", "SENSOR_ID", "HTTPS_PROXY"])
def test_the_names_of_others_are_not_called_unknown(name: str) -> None:
    assert not is_unknown(name)


def test_only_what_is_read_is_ours() -> None:
    ours = ["ROLLCALL_X", "RM_TOKEN", "SENSOR_TOKEN", "BACKEND_URL", "BYTEOR_AGENT_ID"]
    assert all(map(is_ours, [*ours, *KNOWN]))
    assert not any(map(is_ours, ["RM_RETENTION", "SENSOR_ID", "rollcall_token", "ROLLCALL", "A"]))
