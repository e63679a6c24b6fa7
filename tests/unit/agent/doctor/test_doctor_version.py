"""Which agent this is, and whether it can become another version."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent import __version__
from rollcall_agent.doctor.check import Outcome
from rollcall_agent.doctor.on_host import check_version
from rollcall_agent.env_file import EnvFile
from rollcall_agent.settings import Settings

PIN = "ROLLCALL_RELEASE_KEY_SHA256"


@pytest.mark.parametrize(
    ("text", "is_release", "outcome"),
    [
        (f"{PIN}={'a' * 64}", True, Outcome.OK),
        ("", True, Outcome.WARNING),
        ("", False, Outcome.OK),
        ("ROLLCALL_SELF_UPGRADE=0", True, Outcome.OK),
        (f"{PIN}=zz", True, Outcome.FAILED),
        (f"{PIN}=zz", False, Outcome.FAILED),
    ],
)
def test_a_host_that_refuses_every_upgrade_is_told(
    text: str, outcome: Outcome, *, is_release: bool
) -> None:
    settings = Settings(Path("agent.env"), {}, EnvFile(f"{text}\n"))
    check = check_version(settings, is_release=is_release)
    assert check.outcome is outcome
    assert __version__ in check.what
