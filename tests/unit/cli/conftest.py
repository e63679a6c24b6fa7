"""The machine that most of these tests run a command on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.fakes import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with an organization key in its environment."""
    return Machine(tmp_path / "config")
