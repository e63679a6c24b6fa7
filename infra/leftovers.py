"""Data and keys of a stage that outlived its stack: found, explained, removed for good."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra import template
from infra.errors import DeployError
from infra.template import Retained

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

    from infra.console import Say
    from infra.target import Target

_POLL_SECONDS = 2.0
_KEY_DELETION_DAYS = 7
_ABSENT = {"404", "NoSuchBucket", "NotFound", "NotFoundException", "ResourceNotFoundException"}

TABLE = "AWS::DynamoDB::Table"
BUCKET = "AWS::S3::Bucket"
ALIAS = "AWS::KMS::Alias"
SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type

_WORDS = {TABLE: "table", BUCKET: "bucket", ALIAS: "signing key", SECRET: "secret"}


def spell(item: Retained) -> str:
    """The resource in words."""
    return f"{_WORDS[item.kind]} {item.name}"


def expected(target: Target, path: Path = template.TEMPLATE) -> list[Retained]:
    """What the template keeps when the stack is deleted."""
    names = {
        "Stage": target.stage,
        "AWS::AccountId": target.account,
        "AWS::Region": target.region,
    }
    return template.retained(names, path)


def find(target: Target, path: Path = template.TEMPLATE) -> list[Retained]:
    """Which of these exist."""
    return [item for item in expected(target, path) if _exists(target, item)]


def refuse(target: Target, path: Path = template.TEMPLATE) -> None:
    """Explain leftovers before CloudFormation fails on them one by one.

    Raises:
        DeployError: there are some.
    """
    if found := find(target, path):
        listed = "\n  ".join(spell(item) for item in found)
        raise DeployError(
            f"stage {target.stage} has no stack, but what an earlier one held is still there:\n"
            f"  {listed}\n"
            "A new stack cannot take these over silently. Import them into a stack of the name "
            f"{target.stack_name} (CloudFormation, 'with existing resources'), or remove them "
            f"for good with `python -m infra destroy --stage {target.stage} --purge`, or choose "
            "another stage."
        )


def purge(target: Target, *, say: Say) -> None:
    """Remove the stage's data and keys for good."""
    removers = {
        TABLE: _remove_table,
        BUCKET: _remove_bucket,
        ALIAS: _remove_key,
        SECRET: _remove_secret,
    }
    for item in find(target):
        say(f"removing {spell(item)}")
        removers[item.kind](target, item.name)


def _exists(target: Target, item: Retained) -> bool:
    try:
        if item.kind == TABLE:
            target.client("dynamodb").describe_table(TableName=item.name)
        elif item.kind == BUCKET:
            target.client("s3").head_bucket(Bucket=item.name)
        elif item.kind == ALIAS:
            target.client("kms").describe_key(KeyId=item.name)
        else:
            target.client("secretsmanager").describe_secret(SecretId=item.name)
    except ClientError as error:
        if error.response["Error"].get("Code") in _ABSENT:
            return False
        raise
    return True


def _remove_table(target: Target, name: str) -> None:
    client: DynamoDBClient = target.client("dynamodb")
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    while client.describe_table(TableName=name)["Table"].get("TableStatus") != "ACTIVE":
        time.sleep(_POLL_SECONDS)
    client.delete_table(TableName=name)


def _remove_bucket(target: Target, name: str) -> None:
    client: S3Client = target.client("s3")
    # Whoever purges may, and has said so twice, remove what is locked.
    bypass: Any = {"BypassGovernanceRetention": True} if _is_locked(client, name) else {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        keys: Any = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        if keys:
            client.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True}, **bypass)
    client.delete_bucket(Bucket=name)


def _is_locked(client: S3Client, name: str) -> bool:
    try:
        client.get_object_lock_configuration(Bucket=name)
    except ClientError as error:
        if error.response["Error"].get("Code") == "ObjectLockConfigurationNotFoundError":
            return False
        raise
    return True


def _remove_key(target: Target, alias: str) -> None:
    client: KMSClient = target.client("kms")
    key_id = client.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
    client.delete_alias(AliasName=alias)
    client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=_KEY_DELETION_DAYS)


def _remove_secret(target: Target, name: str) -> None:
    # Without recovery: a secret that waits for its deletion still holds its name.
    target.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
