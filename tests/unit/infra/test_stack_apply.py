import datetime
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra import leftovers, stack
from infra.errors import DeployError
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
TEMPLATE = """
Parameters:
  Stage: {Type: String}
  DomainName: {Type: String, Default: ""}
Resources:
  JobsTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties:
      TableName: !Sub "rollcall-${Stage}-jobs"
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "rollcall-${Stage}-queue"}
Outputs:
  QueueUrl: {Value: !Ref Queue}
  Domain: {Value: !Ref DomainName}
"""


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(TEMPLATE)
    return path


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_a_stack_is_created_and_its_outputs_returned(template_file: Path) -> None:
    outputs = stack.apply(Target("prod", ENVIRON), say=print, path=template_file)
    assert outputs["QueueUrl"].endswith("rollcall-prod-queue")


@pytest.mark.usefixtures("aws")
def test_an_equal_stack_is_left_alone(template_file: Path) -> None:
    lines: list[str] = []
    target = Target("prod", ENVIRON)
    stack.apply(target, say=print, path=template_file)
    stack.apply(target, say=lines.append, path=template_file)
    assert lines == ["stack rollcall-prod: up to date"]


@pytest.mark.usefixtures("aws")
def test_a_parameter_that_is_not_given_keeps_its_value(template_file: Path) -> None:
    told = Target("prod", ENVIRON, parameters={"DomainName": "api.example.com"})
    stack.apply(told, say=print, path=template_file)
    template_file.write_text(TEMPLATE + "  More: {Value: more}\n")
    stack_of_second_clone = Target("prod", ENVIRON)
    # Read afresh: the template is cached by its path within one process.
    copy = template_file.with_name("changed.yaml")
    copy.write_text(template_file.read_text())
    outputs = stack.apply(stack_of_second_clone, say=print, path=copy)
    assert outputs["Domain"] == "api.example.com"
    assert outputs["More"] == "more"


@pytest.mark.usefixtures("aws")
def test_a_parameter_can_be_changed_and_taken_away(template_file: Path) -> None:
    given = Target("prod", ENVIRON, parameters={"DomainName": "api.example.com"})
    stack.apply(given, say=print, path=template_file)
    without = Target("prod", ENVIRON, parameters={"DomainName": ""})
    assert stack.apply(without, say=print, path=template_file)["Domain"] == ""


@pytest.mark.usefixtures("aws")
def test_an_unknown_parameter_is_refused(template_file: Path) -> None:
    target = Target("prod", ENVIRON, parameters={"Nothing": "x"})
    with pytest.raises(DeployError, match="no parameter Nothing"):
        stack.apply(target, say=print, path=template_file)


@pytest.mark.usefixtures("aws")
def test_leftovers_of_a_destroyed_stage_are_explained_before_cloudformation_fails(
    template_file: Path,
) -> None:
    target = Target("prod", ENVIRON)
    target.client("dynamodb").create_table(
        TableName="rollcall-prod-jobs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(DeployError, match=r"(?s)table rollcall-prod-jobs.*--purge"):
        stack.apply(target, say=print, path=template_file)
    assert stack.describe(target) is None


@pytest.mark.usefixtures("aws")
def test_a_stack_that_is_not_there_is_deleted_without_complaint() -> None:
    stack.delete(Target("prod", ENVIRON), say=print)


@pytest.mark.usefixtures("aws")
def test_purging_removes_data_and_keys_for_good() -> None:
    target = Target("prod", ENVIRON)
    names = {item.kind: item.name for item in leftovers.expected(target)}
    target.client("dynamodb").create_table(
        TableName="rollcall-prod-jobs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
    )
    bucket = names[leftovers.BUCKET]
    s3 = target.client("s3")
    s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    s3.put_object(Bucket=bucket, Key="artifacts/o/a/x", Body=b"x")
    key = target.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    target.client("kms").create_alias(
        AliasName=names[leftovers.ALIAS], TargetKeyId=key["KeyMetadata"]["KeyId"]
    )
    target.client("secretsmanager").create_secret(Name=names[leftovers.SECRET], SecretString="junk")
    assert len(leftovers.find(target)) == 4
    leftovers.purge(target, say=print)
    assert leftovers.find(target) == []


@pytest.mark.usefixtures("aws")
def test_purging_removes_locked_batches_with_every_version() -> None:
    target = Target("prod", ENVIRON)
    (bucket,) = [one.name for one in leftovers.expected(target) if "evidence" in one.name]
    s3 = target.client("s3")
    s3.create_bucket(
        Bucket=bucket,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
        ObjectLockEnabledForBucket=True,
    )
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
    for body in (b"forged", b"true"):
        s3.put_object(
            Bucket=bucket, Key="batches/o/1.json", Body=body,
            ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        )  # fmt: skip
    s3.delete_object(Bucket=bucket, Key="batches/o/1.json")
    leftovers.purge(target, say=print)
    assert leftovers.find(target) == []


class Scripted(Target):
    """Answers `describe_stacks` from a list, and notes what else is called."""

    def __init__(self, statuses: list[str], events: list[dict[str, Any]] | None = None) -> None:
        super().__init__("prod", ENVIRON)
        object.__setattr__(self, "fake", FakeCloudFormation(statuses, events or []))

    fake: "FakeCloudFormation"

    def client(self, service: str) -> Any:
        assert service == "cloudformation"
        return self.fake


class FakeCloudFormation:
    def __init__(self, statuses: list[str], events: list[dict[str, Any]]) -> None:
        self.statuses = statuses
        self.events = events
        self.updates: list[dict[str, Any]] = []

    def describe_stacks(self, **_: object) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        parameters = [{"ParameterKey": "Stage", "ParameterValue": "prod"}]
        found = {"StackStatus": status, "StackId": "id", "Parameters": parameters, "Outputs": []}
        return {"Stacks": [found]}

    def update_stack(self, **arguments: Any) -> None:
        self.updates.append(arguments)
        if len(self.updates) > 1:
            error = {
                "Error": {"Code": "ValidationError", "Message": "No updates are to be performed."}
            }
            raise ClientError(error, "UpdateStack")  # type: ignore[arg-type]

    def get_template(self, **_: object) -> dict[str, Any]:
        return {"TemplateBody": "another"}

    def get_paginator(self, _: str) -> "FakeCloudFormation":
        return self

    def paginate(self, **_: object) -> list[dict[str, Any]]:
        return [{"StackEvents": self.events}]


def an_event(name: str, status: str, reason: str, kind: str = "AWS::SQS::Queue") -> dict[str, Any]:
    return {
        "LogicalResourceId": name,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_a_failure_says_which_resource_and_why_of_the_last_operation_only() -> None:
    own = "AWS::CloudFormation::Stack"
    events = [
        an_event("rollcall-prod", "UPDATE_ROLLBACK_COMPLETE", "", own),
        an_event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        an_event("Queue", "CREATE_FAILED", "queue is broken"),
        an_event("rollcall-prod", "UPDATE_IN_PROGRESS", "User Initiated", own),
        an_event("Queue", "CREATE_FAILED", "an older story"),
    ]
    target = Scripted(["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"], events)
    with pytest.raises(DeployError, match=r"Queue \(AWS::SQS::Queue\): queue is broken") as caught:
        stack.apply(target, say=print)
    assert "older story" not in str(caught.value)
    assert "cancelled" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason", "advice"),
    [
        (
            "AWS::Events::EventBus",
            "Event bus rollcall-prod can't be deleted since it has rules.",
            "aws events list-rules",
        ),
        (
            "AWS::SQS::Queue",
            "You must wait 60 seconds after deleting a queue before you can create another.",
            "run this again in a minute",
        ),
        ("AWS::SQS::Queue", "a rule of the queue", None),
        ("AWS::Events::EventBus", "AccessDenied", None),
    ],
)
def test_a_failure_that_a_person_can_mend_says_how(
    kind: str, reason: str, advice: str | None
) -> None:
    events = [an_event("One", "DELETE_FAILED", reason, kind)]
    target = Scripted(["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"], events)
    with pytest.raises(DeployError) as caught:
        stack.apply(target, say=print)
    said = str(caught.value).splitlines()[2:]
    assert len(said) == (advice is not None)
    assert advice is None or advice in said[0]


def test_a_creation_that_stopped_half_way_is_continued_without_roll_back() -> None:
    target = Scripted(["CREATE_FAILED", "UPDATE_COMPLETE"])
    stack.apply(target, say=print)
    (update,) = target.fake.updates
    assert update["DisableRollback"] is True


def test_an_ordinary_update_rolls_back_by_itself() -> None:
    target = Scripted(["UPDATE_COMPLETE"])
    stack.apply(target, say=print)
    (update,) = target.fake.updates
    assert update["DisableRollback"] is False


def test_an_update_that_changes_nothing_is_no_error() -> None:
    target = Scripted(["UPDATE_COMPLETE"])
    stack.apply(target, say=print)
    stack.apply(target, say=print)
    assert len(target.fake.updates) == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("UPDATE_IN_PROGRESS", "in use"),
        ("ROLLBACK_COMPLETE", "infra destroy --stage prod"),
        ("UPDATE_ROLLBACK_FAILED", "in CloudFormation first"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_explained(status: str, words: str) -> None:
    with pytest.raises(DeployError, match=words):
        stack.apply(Scripted([status]), say=print)
