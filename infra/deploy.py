"""`deploy`: the stack, the application, the gateway's own answers, and a look whether it lives."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import chalice_state, gateway, inventory, smoke, stack
from infra.children import run_child
from infra.console import Say, say
from infra.errors import DeployError
from infra.project import Project, public_url, stage_project
from infra.target import Target

ROOT = Path(__file__).resolve().parents[1]

# `python -m chalice` does not exist; this is what its console script does.
_CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"

_PARAMETERS = {
    "domain": ("DomainName", "custom domain of the API; '' takes it away"),
    "certificate_arn": ("CertificateArn", "ACM certificate for the domain, in the same region"),
    "hosted_zone_id": ("HostedZoneId", "Route 53 zone in which to point the domain at the API"),
    "alarm_topic_arn": ("AlarmTopicArn", "SNS topic for the alarms"),
    "artifact_retention_days": ("ArtifactRetentionDays", "days for which artifacts are kept"),
    "log_retention_days": ("LogRetentionDays", "days for which logs are kept"),
}


@dataclass(frozen=True)
class Deployment:
    """A deployed stage.

    Args:
        url: base URL of the API, without a slash at the end.
        outputs: of the stack, by key.
        rest_api_id: of API Gateway.
    """

    url: str
    outputs: Mapping[str, str]
    rest_api_id: str


def deploy(
    target: Target,
    project_root: Path = ROOT,
    work_dir: Path | None = None,
    *,
    adopt: str | None = None,
    say: Say = say,
) -> Deployment:
    """Deploy a stage, or bring it up to date. Safe to repeat, also after a failure.

    Args:
        target: the stage and where it lives.
        project_root: the repository.
        work_dir: for the staged project and the packages; `build/` in the repository if left out.
        adopt: id of a REST API to take over when the deploy state was lost.
        say: takes the lines that tell what is done.

    Raises:
        DeployError: it cannot be done; says why and what to do.
    """
    work = work_dir or project_root / "build"
    _release_domain(target)
    outputs = stack.apply(target, say=say)
    project = stage_project(target, project_root, work, outputs)
    bucket = outputs["BucketName"]
    chalice_state.restore(target, project, bucket, adopt)
    build_package(target, project, project_root / "build" / "packages", say=say)
    _deploy_application(target, project, bucket, say)
    rest_api_id = chalice_state.deployed_api(project)
    say(f"REST API {rest_api_id}: setting the gateway's own answers")
    gateway.finish_stage(target, rest_api_id)
    if domain := outputs.get("ApiDomainName"):
        gateway.map_domain(target, rest_api_id, domain)
        say(f"domain {domain}: serves the stage; its DNS target is {outputs['ApiDomainTarget']}")
    gateway_url = inventory.api_url(target, rest_api_id)
    smoke.healthy(target.public_url.rstrip("/") if target.public_url else gateway_url)
    url = public_url(target, outputs) or gateway_url
    say(f"deployed: {url}")
    return Deployment(url, dict(outputs), rest_api_id)


def _release_domain(target: Target) -> None:
    """Let go of a custom domain that is about to be replaced or taken away.

    The stack made the domain but not its mapping, which nobody would remove any more.
    """
    present = stack.describe(target)
    domain = stack.outputs(present).get("ApiDomainName") if present else None
    if domain and target.parameters.get("DomainName", domain) != domain:
        gateway.unmap_domain(target, domain)


def build_package(target: Target, project: Project, cache: Path, *, say: Say) -> None:
    """Build and check the package, in a process of its own that can be stopped with its pip."""
    run_child(
        [sys.executable, "-m", "infra.package", str(project.path.resolve()), str(cache.resolve())],
        cwd=ROOT,
        environ=target.child_environ(),
        say=say,
        what="building the deployment package",
    )


def chalice(target: Target, project: Project, command: str, *, say: Say) -> None:
    """Run one of Chalice's commands on the staged project."""
    run_child(
        [sys.executable, "-c", _CHALICE, command, "--stage", target.stage],
        cwd=project.path,
        environ=target.child_environ(),
        say=say,
        what=f"`chalice {command}`",
    )


def _deploy_application(target: Target, project: Project, bucket: str, say: Say) -> None:
    before = inventory.live_apis(target)
    try:
        chalice(target, project, "deploy", say=say)
    except BaseException:
        # Also on Ctrl-C: what exists by now must be known to the next attempt.
        chalice_state.complete(target, project, bucket, before, say=say)
        raise
    chalice_state.keep(target, project, bucket)


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra deploy`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument("--adopt", metavar="REST_API_ID", help="take over an API, state lost")
    for option, (_, text) in _PARAMETERS.items():
        parser.add_argument(f"--{option.replace('_', '-')}", help=f"{text}; unset: as it is")


def run(args: Namespace) -> int:
    """Deploy with the credentials of the environment."""
    parameters = {
        parameter: getattr(args, option)
        for option, (parameter, _) in _PARAMETERS.items()
        if getattr(args, option) is not None
    }
    target = Target(args.stage, os.environ, parameters=parameters)
    try:
        deploy(target, adopt=args.adopt)
    except DeployError as error:
        say(f"deploy: {error}")
        return 1
    return 0
