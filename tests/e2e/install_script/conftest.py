from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.install_script.control_plane import ControlPlane, serve
from tests.e2e.install_script.host import FAKE_AGENT, Host


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with serve(ControlPlane(FAKE_AGENT.read_bytes())) as running:
        yield running


@pytest.fixture
def host(plane: ControlPlane, tmp_path: Path) -> Host:
    root = tmp_path / "host"
    (root / "fake").mkdir(parents=True)
    return Host(root, plane)
