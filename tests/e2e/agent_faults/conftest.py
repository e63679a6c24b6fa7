from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.agent_faults.fake_control_plane import FakeControlPlane, serve
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.agent_faults.proxy import FaultProxy
from tests.e2e.agent_faults.zygote import Zygote, zygote


class Start(Protocol):
    def __call__(
        self, agent: AgentProcess, *arguments: str, token: str | None = None
    ) -> subprocess.Popen[str]: ...


@pytest.fixture
def control_plane() -> Iterator[FakeControlPlane]:
    with serve(FakeControlPlane()) as plane:
        yield plane


@pytest.fixture
def proxy(control_plane: FakeControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(control_plane.url).serving() as running:
        yield running


@pytest.fixture
def agent(control_plane: FakeControlPlane, tmp_path: Path) -> AgentProcess:
    return AgentProcess(folder=tmp_path / "host", url=control_plane.url)


@pytest.fixture(scope="session")
def lives() -> Iterator[Zygote]:
    """Return what runs many short lives of agents."""
    with zygote() as running:
        yield running


@pytest.fixture
def start() -> Iterator[Start]:
    """Start agents that do not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        agent: AgentProcess, *arguments: str, token: str | None = None
    ) -> subprocess.Popen[str]:
        started.append(agent.start(*arguments, token=token))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()
