"""One stage for all tests of this package: deploying it takes longer than most of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from infra.event_tap import EventTap
from infra.local_stack import LocalStack, local_stack
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.stack import sweeps
from tests.e2e.stack.calls import Calls


@dataclass(frozen=True)
class Copies:
    """Two hosts that were made from one image, with one identity between them."""

    agent_id: str
    hosts: tuple[AgentProcess, AgentProcess]
    processes: tuple[subprocess.Popen[str], subprocess.Popen[str]]


class Start(Protocol):
    """Starts an agent that does not outlive the test."""

    def __call__(
        self, agent: AgentProcess, *arguments: str, token: str | None = None
    ) -> subprocess.Popen[str]: ...


@pytest.fixture(scope="package")
def stack() -> Iterator[LocalStack]:
    """The stage: beats each second, buckets of five, and more workers than processors."""
    parameters = {"PresenceBucketSeconds": "5"}
    with local_stack(heartbeat_interval=1, parameters=parameters, workers=4) as running:
        sweeps.have_run(running)
        yield running


@pytest.fixture(scope="package", autouse=True)
def tap(stack: LocalStack) -> Iterator[EventTap]:
    """Every event that the bus delivers while the tests of this package run.

    It is open before anything is said: evidence without its event would look like a lost one.
    """
    with EventTap(stack.target, stack.outputs) as running:
        yield running


@pytest.fixture(autouse=True)
def _heard(tap: EventTap) -> Iterator[None]:
    """Take what was said after each test: moto counts all that waits in a queue at each event."""
    yield
    tap.events()


@pytest.fixture(scope="package")
def secrets_seen(stack: LocalStack) -> set[str]:
    """Every raw secret that the tests of this package used."""
    return {stack.operator_key, stack.admin_password}


@pytest.fixture(scope="package", autouse=True)
def copies(
    stack: LocalStack,
    tap: EventTap,
    secrets_seen: set[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Copies]:
    """Two copies of one host, which beat from the beginning."""
    del tap  # it is there before they are heard
    folder = tmp_path_factory.mktemp("copies")
    first, second = (AgentProcess(folder / name, stack.url) for name in ("one", "two"))
    with httpx.Client(timeout=60, trust_env=False) as http:
        token = Calls(stack, http, secrets_seen).mint()
    assert first.enroll(token.secret).returncode == 0
    second.config.parent.mkdir(parents=True, mode=0o700)
    shutil.copy2(first.config, second.config)
    settings = first.settings()
    secrets_seen.add(settings["ROLLCALL_AGENT_API_KEY"])
    processes = (first.start("run"), second.start("run"))
    try:
        yield Copies(settings["ROLLCALL_AGENT_ID"], (first, second), processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture
def calls(stack: LocalStack, secrets_seen: set[str]) -> Iterator[Calls]:
    """A caller of the stage."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    with httpx.Client(timeout=60, limits=limits, trust_env=False) as http:
        yield Calls(stack, http, secrets_seen)


@pytest.fixture
def agent(stack: LocalStack, tmp_path: Path) -> AgentProcess:
    """The host's agent, not enrolled yet."""
    return AgentProcess(folder=tmp_path / "host", url=stack.url)


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
