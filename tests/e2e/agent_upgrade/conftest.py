from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollcall_agent import __version__
from rollcall_agent.own_upgrade import release_platform

from tests.e2e.agent_upgrade.installed import Installed
from tests.e2e.agent_upgrade.release_server import ReleaseServer, serving
from tests.unit.agent.releases import program

NEXT = "9.9.9"


@pytest.fixture
def releases() -> Iterator[ReleaseServer]:
    here = release_platform(sys.platform, platform.machine())
    published = ReleaseServer()
    published.publish(NEXT, program(NEXT), here)
    published.publish(__version__, program(__version__), here)
    with serving(published) as running:
        yield running


@pytest.fixture
def host(tmp_path: Path, releases: ReleaseServer) -> Installed:
    return Installed(tmp_path / "host", releases.url, releases.signer.pin)
