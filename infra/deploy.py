"""`deploy`: the stack, the application, the gateway's own answers, and a look whether it lives."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra import (
    chalice_state,
    concurrency,
    gateway,
    inventory,
    lambda_runtime,
    release_key,
    roles,
    smoke,
    stack,
    stream_mappings,
    tags,
)
from infra.application import deploy_application
from infra.children import run_child
from infra.console import Say, say
from infra.errors import DeployError
from infra.project import TABLE_KEY, Project, public_url, stage_project, tracked_config
from infra.stage_names import refuse_colliding
from infra.stream_mappings import keep_failed_batches
from infra.target import Target

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ROOT = Path(__file__).resolve().parents[1]

UPLOADS_FUNCTION = "verify_upload"
# A minute: far longer than IAM usually takes to tell Lambda of a policy.
_ATTEMPTS = 13
_PAUSE_SECONDS = 5.0

_PARAMETERS = {
    "domain": ("DomainName", "custom domain of the API; '' takes it away"),
    "certificate_arn": ("CertificateArn", "ACM certificate for the domain, in the same region"),
    "hosted_zone_id": ("HostedZoneId", "Route 53 zone in which to point the domain at the API"),
    "alarm_topic_arn": ("AlarmTopicArn", "SNS topic for the alarms"),
    "artifact_retention_days": ("ArtifactRetentionDays", "days for which artifacts are kept"),
    "evidence_retention_days": (
        "EvidenceRetentionDays",
        "days for which audit records and the batches that seal them are kept",
    ),
    "event_destination_url": (
        "EventDestinationUrl",
        "https URL to which every event is posted; '' takes it away",
    ),
    "permissions_boundary_arn": (
        roles.BOUNDARY,
        "IAM policy that bounds every role of the stage; '' takes it away",
    ),
    "table_key": (
        TABLE_KEY,
        "what encrypts the tables: aws-owned, aws-managed or the ARN of a KMS key",
    ),
    "log_retention_days": ("LogRetentionDays", "days for which logs are kept"),
    "reserved_concurrency": (
        concurrency.PARAMETER,
        "of functions, such as api_handler=50,run_jobs=2; '' takes all away",
    ),
    "presence_bucket_seconds": (
        "PresenceBucketSeconds",
        "how coarse, and how late at most, offline agents are found; only narrow it",
    ),
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
    change_runtime: bool = False,
    say: Say = say,
    sleep: Callable[[float], object] = time.sleep,
) -> Deployment:
    """Deploy a stage, or bring it up to date. Safe to repeat, also after a failure.

    Args:
        target: the stage and where it lives.
        project_root: the repository.
        work_dir: for the staged project and the packages; `build/` in the repository if left out.
        adopt: id of a REST API to take over when the deploy state was lost.
        change_runtime: whether the functions may get another Python than the stage has.
        say: takes the lines that tell what is done.
        sleep: waits until AWS knows what was just made.

    Raises:
        DeployError: it cannot be done; says why and what to do.
    """
    functions = tracked_config(project_root)["lambda_functions"]
    refuse_colliding(target.stage, functions)
    present = stack.describe(target)
    recorded = stack.parameters(present)
    concurrency.check(target, recorded.get(concurrency.PARAMETER), functions, say=say)
    runtime = lambda_runtime.chosen(
        target, recorded.get(lambda_runtime.PARAMETER), change=change_runtime, say=say
    )
    target = replace(
        target,
        parameters={**target.parameters, lambda_runtime.PARAMETER: runtime},
        tags=stack.tags(target, present) if target.tags is None else target.tags,
    )
    boundary = {**recorded, **target.parameters}.get(roles.BOUNDARY, "")
    work = work_dir or project_root / "build"
    with _domain_released(target, say):
        outputs = release_key.with_fingerprint(target, stack.apply(target, say=say))
    project = stage_project(target, project_root, work, outputs)
    bucket = outputs["BucketName"]
    chalice_state.restore(target, project, bucket, adopt)
    chalice_state.add(project, roles.ensure(target, project.functions, boundary, say=say))
    build_package(target, project, project_root / "build" / "packages", say=say)
    deploy_application(target, project, bucket, say=say, sleep=sleep)
    rest_api_id = chalice_state.deployed_api(project)
    say(f"REST API {rest_api_id}: setting the gateway's own answers")
    gateway.finish_stage(target, rest_api_id)
    gateway.tag(target, rest_api_id)
    if domain := outputs.get("ApiDomainName"):
        gateway.map_domain(target, rest_api_id, domain)
        say(f"domain {domain}: serves the stage; its DNS target is {outputs['ApiDomainTarget']}")
    keep_failed_uploads(target, outputs["DeadLetterQueueArn"], sleep=sleep)
    keep_failed_batches(target, outputs, sleep=sleep)
    stream_mappings.let_jobs_drive_themselves(target, sleep=sleep)
    stream_mappings.look(target, outputs, say=say)
    gateway_url = inventory.api_url(target, rest_api_id)
    smoke.healthy(target.public_url.rstrip("/") if target.public_url else gateway_url)
    url = public_url(target, outputs) or gateway_url
    say(f"deployed: {url}")
    return Deployment(url, dict(outputs), rest_api_id)


def _domain_released(target: Target, say: Say) -> AbstractContextManager[None]:
    """Let go of a custom domain that is about to be replaced or taken away, unless that fails.

    The stack made the domain but not its mapping, which nobody would remove any more.
    """
    present = stack.describe(target)
    domain = stack.outputs(present).get("ApiDomainName") if present else None
    if domain and target.parameters.get("DomainName", domain) != domain:
        return gateway.domain_released(target, domain, say=say)
    return nullcontext()


def keep_failed_uploads(
    target: Target, queue_arn: str, *, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Let Lambda send S3's events that verify_upload failed on to the queue, not drop them.

    Lambda checks that the function's role may send there, and learns of a policy that was just
    written some seconds later.

    Args:
        target: the stage.
        queue_arn: the dead-letter queue.
        sleep: waits between attempts.

    Raises:
        DeployError: Lambda refuses.
    """
    client: LambdaClient = target.client("lambda")
    for attempt in range(_ATTEMPTS):
        try:
            client.put_function_event_invoke_config(
                FunctionName=f"{target.stack_name}-{UPLOADS_FUNCTION}",
                MaximumRetryAttempts=2,
                MaximumEventAgeInSeconds=21_600,
                DestinationConfig={"OnFailure": {"Destination": queue_arn}},
            )
        except (
            client.exceptions.InvalidParameterValueException,
            client.exceptions.ResourceConflictException,
        ) as error:
            if attempt + 1 == _ATTEMPTS:
                raise DeployError(f"failed uploads would be dropped: {error}") from error
            sleep(_PAUSE_SECONDS)
        else:
            return


def build_package(target: Target, project: Project, cache: Path, *, say: Say) -> None:
    """Build and check the package, in a process of its own that can be stopped with its pip."""
    run_child(
        [sys.executable, "-m", "infra.package", str(project.path.resolve()), str(cache.resolve())],
        cwd=ROOT,
        environ=target.child_environ(),
        say=say,
        what="building the deployment package",
    )


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra deploy`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument("--adopt", metavar="REST_API_ID", help="take over an API, state lost")
    parser.add_argument(
        "--change-runtime",
        action="store_true",
        help="let the functions run on this Python, also if the stage has another one",
    )
    parser.add_argument(
        "--tags",
        type=tags.parse,
        metavar="KEY=VALUE,…",
        help="tags of everything in the stage; '' takes them away; unset: as they are",
    )
    for option, (_, text) in _PARAMETERS.items():
        parser.add_argument(f"--{option.replace('_', '-')}", help=f"{text}; unset: as it is")


def parameters(args: Namespace) -> dict[str, str]:
    """The stack parameters that were asked for, and only those."""
    return {
        parameter: getattr(args, option)
        for option, (parameter, _) in _PARAMETERS.items()
        if getattr(args, option) is not None
    }


def run(args: Namespace) -> int:
    """Deploy with the credentials of the environment."""
    target = Target(args.stage, os.environ, parameters=parameters(args), tags=args.tags)
    try:
        deploy(target, adopt=args.adopt, change_runtime=args.change_runtime)
    except DeployError as error:
        say(f"deploy: {error}")
        return 1
    return 0
