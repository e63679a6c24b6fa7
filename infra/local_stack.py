"""A stage on the emulated cloud: deployed by the same code as a real one, and bootstrapped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.children import run_child
from infra.console import Say, say
from infra.deploy import ROOT, deploy
from infra.emulator.cloud import EmulatedCloud
from infra.engines import Engines, chosen, real_engines
from infra.target import Target
from infra.work_folder import work_folder

STAGE = "dev"


@dataclass(frozen=True)
class LocalStack:
    """A running stage and its first organization."""

    cloud: EmulatedCloud = field(repr=False)
    target: Target = field(repr=False)
    outputs: Mapping[str, str]
    url: str
    organization: str
    project: str
    environment: str
    operator_key: str = field(repr=False)
    admin_username: str
    admin_password: str = field(repr=False)

    def summary(self) -> dict[str, str]:
        """What scripts need to call the stage."""
        return {
            "url": self.url,
            "organization": self.organization,
            "project": self.project,
            "environment": self.environment,
            "operator_key": self.operator_key,
            "admin_username": self.admin_username,
            "admin_password": self.admin_password,
        }


@contextmanager
def local_stack(
    *,
    heartbeat_interval: int = 60,
    parameters: Mapping[str, str] | None = None,
    workers: int = 2,
    real: bool | None = None,
    say: Say = say,
) -> Iterator[LocalStack]:
    """Start the emulated cloud, deploy the checkout into it and make an organization.

    Everything it writes is below `.local/` and gone at the end, however that comes.

    Args:
        heartbeat_interval: of the organization's environment, in seconds.
        parameters: of the stage's stack; defaults hold for the others.
        workers: the most worker processes of a function.
        real: whether MiniStack and SeaweedFS stand behind it; default what `ENGINES` asks for.
        say: takes the lines that tell what is done.

    Raises:
        DeployError: the stage could not be deployed.
        EngineError: an engine does not start.
    """
    with (
        work_folder() as work,
        _engines(work, chosen() if real is None else real) as engines,
        EmulatedCloud(work / "cloud", engines=engines, workers=workers) as cloud,
    ):
        target = emulated_target(cloud, parameters or {})
        deployment = deploy(target, work_dir=work / "build", say=without_resources(say))
        made = bootstrap_child(target, work / "bootstrap.json", heartbeat_interval, say)
        yield LocalStack(cloud, target, deployment.outputs, **made)


def without_resources(say: Say) -> Say:
    """Pass lines on but for the list with which `chalice deploy` ends.

    It names the URL that a real account would have, which leads nowhere here.
    """

    def pass_on(line: str) -> None:
        if not line.strip().startswith(("- ", "Resources deployed")):
            say(line)

    return pass_on


@contextmanager
def _engines(work: Path, wanted: bool) -> Iterator[Engines | None]:
    if not wanted:
        yield None
        return
    with real_engines(work) as engines:
        yield engines


def emulated_target(
    cloud: EmulatedCloud, parameters: Mapping[str, str], stage: str = STAGE, url: str | None = None
) -> Target:
    """The stage's target: the emulated account, and nothing of the developer's own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ROLLCALL_"))
    }
    return Target(
        stage,
        {**inherited, **cloud.environ},
        public_url=url or cloud.api_url(stage),
        parameters=parameters,
    )


def bootstrap_child(
    target: Target, output: Path, heartbeat_interval: int, say: Say, admin: str = "admin"
) -> dict[str, str]:
    """Make an organization, in a process of its own: the store reads the environment.

    Args:
        target: the stage.
        output: where its key and its admin's login go.
        heartbeat_interval: of its environment, in seconds.
        say: takes the lines that tell what is done.
        admin: the username of its first org_admin; nobody of the stage may have it.

    Raises:
        DeployError: it could not be made.
    """
    run_child(
        [
            *(sys.executable, "-m", "infra", "bootstrap"),
            *("--stage", target.stage, "--public-url", str(target.public_url)),
            *("--heartbeat-interval", str(heartbeat_interval), "--output", str(output)),
            *("--admin", admin),
        ],
        cwd=ROOT,
        environ=target.child_environ(),
        say=say,
        what="bootstrap",
    )
    made: dict[str, str] = json.loads(output.read_text("utf-8"))
    return made
