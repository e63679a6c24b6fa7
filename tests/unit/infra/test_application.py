import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from moto import mock_aws

from infra import chalice_state
from infra.application import (
    PAUSE_SECONDS,
    RETRIES,
    chalice,
    deploy_application,
    passing_refusal,
)
from infra.errors import DeployError
from infra.project import Project
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
BUCKET = "rollcall-prod-bucket"
STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/rollcall-prod-jobs/stream/2026-12-01T01"
NEW_ROLE = (
    "An error occurred (InvalidParameterValueException) when calling the CreateEventSourceMapping "
    f"operation: Cannot access stream {STREAM}. Please ensure the role can perform the GetRecords, "
    "GetShardIterator, DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
)
PASSING = {
    "stream": NEW_ROLE,
    "bucket": (
        "An error occurred (InvalidArgument) when calling the PutBucketNotificationConfiguration "
        "operation: Unable to validate the following destination configurations"
    ),
    "role": (
        "An error occurred (NoSuchEntity) when calling the PutRolePolicy operation: The role with "
        "name rollcall-prod-run_jobs cannot be found."
    ),
    "function": (
        "An error occurred (ResourceConflictException) when calling the UpdateFunctionConfiguration"
        " operation: The operation cannot be performed at this time. An update is in progress for "
        "resource: arn:aws:lambda:eu-central-1:123456789012:function:rollcall-prod-run_jobs"
    ),
    "busy bucket": (
        "An error occurred (OperationAborted) when calling the PutBucketNotificationConfiguration "
        "operation: A conflicting conditional operation is currently in progress against this "
        "resource. Please try again."
    ),
    "busy rule": (
        "An error occurred (ConcurrentModificationException) when calling the PutTargets operation:"
        " Rule rollcall-prod-sweep_presence-event was modified."
    ),
    "rate": (
        "An error occurred (TooManyRequestsException) when calling the PutRestApi operation "
        "(reached max retries: 4): Too Many Requests"
    ),
    "iam rate": (
        "An error occurred (Throttling) when calling the CreateRole operation (reached max "
        "retries: 4): Rate exceeded"
    ),
}
LASTING = {
    "denied": (
        "An error occurred (AccessDenied) when calling the PutRolePolicy operation: User: x is not "
        "authorized to perform: iam:PutRolePolicy"
    ),
    "no function": (
        "An error occurred (ResourceNotFoundException) when calling the CreateEventSourceMapping "
        "operation: Function does not exist"
    ),
    "second mapping": (
        "An error occurred (ResourceConflictException) when calling the CreateEventSourceMapping "
        "operation: An event source mapping already exists."
    ),
    "too large": "Unzipped size must be smaller than 262144000 bytes",
    "quota": (
        "An error occurred (LimitExceededException) when calling the ImportRestApi operation: "
        "Maximum number of APIs for this account has been reached"
    ),
    "nothing": "",
}


def as_chalice_prints(message: str) -> list[str]:
    """An error's text as Chalice 1.34 wraps it, line by line as the deployer gets it."""
    wrapped = textwrap.wrap(
        message, 79, replace_whitespace=False, drop_whitespace=False,
        initial_indent=" ", subsequent_indent=" ",
    )  # fmt: skip
    return ["ERROR - While deploying your chalice application:", *(f"  {one}" for one in wrapped)]


@pytest.mark.parametrize("message", PASSING.values(), ids=PASSING)
def test_what_ends_by_itself_is_known_also_when_chalice_wrapped_it(message: str) -> None:
    assert passing_refusal("\n".join(as_chalice_prints(message)))


@pytest.mark.parametrize("message", LASTING.values(), ids=LASTING)
def test_what_lasts_is_not_tried_again(message: str) -> None:
    assert passing_refusal("\n".join(as_chalice_prints(message))) is None


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        target = Target("prod", ENVIRON)
        where = {"LocationConstraint": "eu-central-1"}
        target.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield target


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, "prod", ("run_jobs",))


class Chalice:
    """Fails some times with a message; makes its role in the first run, as the real one does."""

    def __init__(self, failures: int, message: str) -> None:
        self.left, self.message = failures, message
        self.states: list[bool] = []
        """Whether a state was there when a run began."""

    def __call__(self, target: Target, project: Project, command: str, *, say: Any) -> None:
        assert command == "deploy"
        self.states.append(project.state_file.exists())
        name = "rollcall-prod-run_jobs"
        if not project.state_file.exists():
            target.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        if self.left:
            self.left -= 1
            for line in as_chalice_prints(self.message):
                say(line)
            raise DeployError("`chalice deploy` failed")


def test_chalice_runs_again_with_what_it_made_recorded(target: Target, project: Project) -> None:
    lines: list[str] = []
    slept: list[float] = []
    run = Chalice(RETRIES, NEW_ROLE)
    deploy_application(target, project, BUCKET, say=lines.append, sleep=slept.append, run=run)
    assert slept == [PAUSE_SECONDS] * RETRIES
    assert run.states == [False, *[True] * RETRIES]
    assert sum("again in 15 seconds" in line for line in lines) == RETRIES
    kept = target.client("s3").get_object(Bucket=BUCKET, Key=chalice_state.key("prod"))
    assert b"rollcall-prod-run_jobs" in kept["Body"].read()


@pytest.mark.parametrize(
    ("failures", "message", "runs"),
    [(1000, NEW_ROLE, 1 + RETRIES), (1000, LASTING["denied"], 1)],
    ids=["too often", "for another reason"],
)
def test_a_refusal_that_lasts_ends_the_deployment_with_the_state_kept(
    target: Target, project: Project, failures: int, message: str, runs: int
) -> None:
    run, slept = Chalice(failures, message), list[float]()
    with pytest.raises(DeployError, match="chalice deploy"):
        deploy_application(target, project, BUCKET, say=print, sleep=slept.append, run=run)
    assert (len(run.states), len(slept)) == (runs, runs - 1)
    assert target.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_an_interrupt_is_not_tried_again(target: Target, project: Project) -> None:
    def interrupted(*_: Any, say: Any, **__: Any) -> None:
        say(NEW_ROLE)
        raise KeyboardInterrupt

    slept: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        deploy_application(target, project, BUCKET, say=print, sleep=slept.append, run=interrupted)
    assert slept == []


def test_a_command_that_fails_says_which(project: Project) -> None:
    # An empty project: Chalice itself refuses, before it asks AWS for anything.
    with pytest.raises(DeployError, match="`chalice deploy` failed"):
        chalice(Target("prod", ENVIRON), project, "deploy", say=print)


def test_a_right_that_chalice_lacks_is_named(target: Target, project: Project) -> None:
    run = Chalice(1, LASTING["denied"])
    with pytest.raises(DeployError, match="missing right: iam:PutRolePolicy"):
        deploy_application(target, project, BUCKET, say=print, sleep=print, run=run)
