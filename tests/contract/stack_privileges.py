"""What CloudFormation does in the deployer's name to make, read, change and remove the stack.

It calls each service with the caller's rights, which no emulator shows. What it needs is from AWS's
resource schemas ("handlers": permissions), of which cfn-lint brings a copy. These name everything
that a type could ever need; what our template's properties do not need is left out here, by reason.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from infra import template
from infra.emulator.iam_policies import Use

STAGE, ACCOUNT, REGION = "prod", "123456789012", "eu-central-1"
OWN = f"rollcall-{STAGE}"
_DATA = "replicas, imports, Kinesis, contributor insights: the tables have none"
_NO_KEY = "encrypted by keys of AWS, whose own policies let the account in"
_BUCKET = "a property that the buckets do not have"
# Patterns of actions by type, with the reason why the stack does not need them.
LEFT_OUT: dict[str, dict[str, str]] = {
    "AWS::DynamoDB::Table": {
        **dict.fromkeys(
            ["dynamodb:*Import*", "dynamodb:*TableReplica", "dynamodb:*Item", "dynamodb:Scan",
             "dynamodb:Query", "dynamodb:Enable*", "dynamodb:Disable*", "dynamodb:UpdateKinesis*",
             "dynamodb:UpdateContributorInsights", "kinesis:*", "logs:*", "s3:*", "iam:*"], _DATA,
        ),
        "dynamodb:*tResourcePolicy": "read alone", "dynamodb:DeleteResourcePolicy": "read alone",
    },
    "AWS::Events::Connection": {"kms:*": _NO_KEY},
    "AWS::Events::EventBus": {
        "events:*Permission": "the bus has no policy", "kms:*": _NO_KEY,
    },
    "AWS::IAM::Role": {"iam:*tachRolePolicy": "the role has inline policies alone"},
    "AWS::KMS::Key": {
        "kms:Enable*": "keys that sign are not rotated", "kms:Disable*": "never disabled",
        "kms:ScheduleKeyDeletion": "kept",
    },
    "AWS::KMS::Alias": {"kms:DeleteAlias": "kept"},
    "AWS::Logs::LogGroup": dict.fromkeys(
        ["logs:PutDataProtectionPolicy", "logs:DeleteDataProtectionPolicy", "logs:*LogDelivery",
         "logs:*tResourcePolicy", "logs:DeleteResourcePolicy", "logs:*tIndexPolicy",
         "logs:DeleteIndexPolicy", "logs:*KmsKey", "logs:*BearerToken*", "logs:*DeletionProtection",
         "logs:DeleteRetentionPolicy", "s3:*", "firehose:*"],
        "a property that the groups do not have",
    ),
    "AWS::S3::Bucket": {
        **dict.fromkeys(
            ["s3:Put*Analytics*", "s3:*BucketCORS", "s3:Put*Inventory*", "s3:Put*Metrics*",
             "s3:Put*Notification", "s3:Put*Replication*", "s3:Put*Website", "s3:Put*Accelerate*",
             "s3:PutBucketLogging", "s3:Put*IntelligentTiering*", "s3:PutBucketAbac",
             "s3:*Acl", "s3:DeleteObject", "s3:CreateBucketMetadata*", "s3:UpdateBucketMetadata*",
             "s3:DeleteBucket?*", "s3tables:*", "iam:*"], _BUCKET,
        ),
        "s3:PutObjectLockConfiguration": "no action of S3; PutBucketObjectLockConfiguration is",
        "s3:DeleteBucket": "kept",
    },
    "AWS::S3::BucketPolicy": {"s3:DeleteBucketPolicy": "kept"},
    "AWS::SecretsManager::Secret": {
        "secretsmanager:*Region*": "not replicated",
        "secretsmanager:GetSecretValue": "only for a dynamic reference; see below",
    },
}  # fmt: skip
_OF_ANY_NAME = {
    "kms:CreateKey", "kms:ListAliases", "secretsmanager:GetRandomPassword",
    "route53:ListHostedZones",
}  # fmt: skip


_NAMES = ("TableName", "BucketName", "QueueName", "LogGroupName", "Name")
_ARNS = {
    "AWS::CloudWatch::Alarm": "cloudwatch:{scope}:alarm:{name}",
    "AWS::DynamoDB::Table": "dynamodb:{scope}:table/{name}",
    "AWS::Events::ApiDestination": "events:{scope}:api-destination/{name}/0000",
    "AWS::Events::Connection": "events:{scope}:connection/{name}/0000",
    "AWS::Events::EventBus": "events:{scope}:event-bus/{name}",
    "AWS::Events::Rule": f"events:{{scope}}:rule/{OWN}/{{name}}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{scope}:key/0000",
    "AWS::Logs::LogGroup": "logs:{scope}:log-group:{name}:",
    "AWS::Route53::RecordSet": "route53:::hostedzone/Z1",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SQS::Queue": "sqs:{scope}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{scope}:secret:{name}-123456",
}


@cache
def handlers(kind: str) -> dict[str, frozenset[str]]:
    """The permissions of a type's handlers, from its resource schema."""
    root = files("cfnlint") / "data" / "schemas"
    index = json.loads((root / "providers" / f"{REGION}.json").read_text("utf-8"))
    schema = json.loads((root / "resources" / f"{index[kind]}.json").read_text("utf-8"))
    return {name: frozenset(one.get("permissions", [])) for name, one in schema["handlers"].items()}


def is_left_out(kind: str, action: str) -> bool:
    """Whether the stack does not need an action of a type's schema."""
    return any(fnmatch.fnmatchcase(action, pattern) for pattern in LEFT_OUT.get(kind, {}))


def stack_uses() -> Iterator[Use]:
    """Every use that CloudFormation makes of the deployer's rights for this template."""
    for logical, resource in template.load()["Resources"].items():
        wanted = {"create", "read", "update"}
        if resource.get("DeletionPolicy") != "Retain":
            wanted.add("delete")
        kind = resource["Type"]
        actions = {action for name in wanted for action in handlers(kind).get(name, ())}
        for action in sorted(actions):
            if not is_left_out(kind, action):
                yield from _on(action, kind, logical, resource["Properties"])
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:EventDestinationSecret-AbC-123456"
    yield Use("secretsmanager:GetSecretValue", secret)  # {{resolve:secretsmanager:…}}
    # AWS, "Using service-linked roles for API Gateway": made with the first API of the account.
    principal = "ops.apigateway.amazonaws.com"
    role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{principal}/AWSServiceRoleForAPIGateway"
    yield Use("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": principal})


def _on(action: str, kind: str, logical: str, properties: dict[str, Any]) -> Iterator[Use]:
    service = action.partition(":")[0]
    if action in _OF_ANY_NAME:
        yield Use(action, "*")
    elif action == "iam:PassRole":
        role = f"arn:aws:iam::{ACCOUNT}:role/{OWN}-EventDestinationRole-ABC"
        yield Use(action, role, {"iam:PassedToService": "events.amazonaws.com"})
    elif action == "iam:CreateServiceLinkedRole":
        principal = "apidestinations.events.amazonaws.com"
        role = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{principal}/AWSServiceRoleFor-x"
        yield Use(action, role, {"iam:AWSServiceName": principal})
    elif service == "apigateway":
        for path in ("/domainnames", "/domainnames/api.example.com"):
            if (action == "apigateway:POST") is (path == "/domainnames") or action[-3:] == "GET":
                yield Use(action, f"arn:aws:apigateway:{REGION}::{path}")
    elif service == "kms" and kind == "AWS::DynamoDB::Table" and action not in _OF_ANY_NAME:
        key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/own"
        yield Use(action, key, {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"})
    elif service == "kms" and kind == "AWS::KMS::Alias":
        yield from (Use(action, arn) for arn in _alias_and_key(properties))
    elif service == "secretsmanager" and kind == "AWS::Events::Connection":
        own = f"secret:events!connection/{OWN}/0-123456"
        yield Use(action, f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:{own}")
    else:
        yield Use(action, _arn(action, kind, logical, properties))


def _alias_and_key(properties: dict[str, Any]) -> list[str]:
    scope = f"arn:aws:kms:{REGION}:{ACCOUNT}:"
    return [f"{scope}{_name(properties['AliasName'])}", f"{scope}key/0000"]


def _arn(action: str, kind: str, logical: str, properties: dict[str, Any]) -> str:
    """The ARN of a resource; of one without a name, as CloudFormation would call it."""
    scope = f"{REGION}:{ACCOUNT}"
    if action in {"logs:DescribeLogGroups", "logs:DescribeResourcePolicies"}:
        return f"arn:aws:logs:{scope}:log-group:"
    if action == "route53:GetChange":
        return "arn:aws:route53:::change/C1"
    if kind in {"AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"}:
        (of,) = [properties["Bucket"]] if "Bucket" in properties else properties["Queues"]
        kind, properties = kind.removesuffix("Policy"), _resource(of["Ref"])["Properties"]
    named = next((properties[key] for key in _NAMES if "Fn::Sub" in properties.get(key, "")), None)
    name = _name(named) if named else f"{OWN}-{logical}-ABC"
    if kind == "AWS::SecretsManager::Secret" and not named:
        name = f"{logical}-AbC"
    return f"arn:aws:{_ARNS[kind].format(scope=scope, account=ACCOUNT, name=name)}"


def _resource(logical: str) -> dict[str, Any]:
    found: dict[str, Any] = template.load()["Resources"][logical]
    return found


def _name(value: dict[str, str]) -> str:
    text = value["Fn::Sub"].replace("${Stage}", STAGE)
    return text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)
