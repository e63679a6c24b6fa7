"""The stack's tables and buckets, made on the engines as soon as moto's CloudFormation makes them.

The template stays the one truth, and moto the one that reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from moto.dynamodb.models import DynamoDBBackend
from moto.s3.models import S3Backend

from infra.emulator.patches import MotoObject, Patches, require_parameters
from infra.engines.engine import Engines
from infra.engines.seaweedfs import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import GlobalSecondaryIndexUpdateTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import ObjectLockRetentionModeType


class Mirror:
    """Keeps the engines' tables and buckets in step with moto's.

    Args:
        engines: the engines themselves, not what stands before them.
        region: of the account.
    """

    def __init__(self, engines: Engines, region: str) -> None:
        session = boto3.session.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=region
        )
        direct: Config = Config(proxies={}, s3={"addressing_style": "path"})
        self._dynamodb: DynamoDBClient = session.client(
            "dynamodb", endpoint_url=engines.dynamodb, config=direct
        )
        self._s3: S3Client = session.client("s3", endpoint_url=engines.s3, config=direct)

    def install(self, patches: Patches) -> None:
        """Follow moto."""
        require_parameters(DynamoDBBackend.create_table, "name")
        patches.wrap(DynamoDBBackend, "create_table", self._create_table)
        patches.wrap(DynamoDBBackend, "delete_table", self._delete_table)
        patches.wrap(DynamoDBBackend, "update_time_to_live", self._expire)
        patches.wrap(DynamoDBBackend, "update_table_global_indexes", self._change_indexes)
        patches.wrap(S3Backend, "create_bucket", self._create_bucket)
        patches.wrap(S3Backend, "delete_bucket", self._delete_bucket)
        require_parameters(S3Backend.put_object_lock_configuration, "mode", "days")
        patches.wrap(S3Backend, "put_object_lock_configuration", self._lock_bucket)

    def _create_table(self, original: MotoObject) -> MotoObject:
        def create_table(backend: MotoObject, *args: MotoObject, **kwargs: MotoObject) -> Any:  # noqa: ANN401
            table = original(backend, *args, **kwargs)
            self._dynamodb.create_table(**_definition(table))
            return table

        return create_table

    def _delete_table(self, original: MotoObject) -> MotoObject:
        def delete_table(backend: MotoObject, name: str) -> MotoObject:
            deleted = original(backend, name)
            self._dynamodb.delete_table(TableName=deleted.name)
            return deleted

        return delete_table

    def _expire(self, original: MotoObject) -> MotoObject:
        def update_time_to_live(
            backend: MotoObject, table_name: str, ttl_spec: dict[str, Any]
        ) -> None:
            original(backend, table_name, ttl_spec)
            self._dynamodb.update_time_to_live(
                TableName=backend.get_table(table_name).name,
                TimeToLiveSpecification={
                    "AttributeName": ttl_spec["AttributeName"],
                    "Enabled": bool(ttl_spec["Enabled"]),
                },
            )

        return update_time_to_live

    def _change_indexes(self, original: MotoObject) -> MotoObject:
        def update_table_global_indexes(
            backend: MotoObject, table: MotoObject, changes: list[dict[str, Any]]
        ) -> None:
            original(backend, table, changes)
            for change in changes or []:
                self._dynamodb.update_table(
                    TableName=table.name,
                    AttributeDefinitions=table.attr,
                    GlobalSecondaryIndexUpdates=[cast("GlobalSecondaryIndexUpdateTypeDef", change)],
                )

        return update_table_global_indexes

    def _create_bucket(self, original: MotoObject) -> MotoObject:
        def create_bucket(
            backend: MotoObject, bucket_name: str, *args: MotoObject, **kwargs: MotoObject
        ) -> MotoObject:
            bucket = original(backend, bucket_name, *args, **kwargs)
            self._s3.create_bucket(Bucket=bucket_name)
            return bucket

        return create_bucket

    def _lock_bucket(self, original: MotoObject) -> MotoObject:
        def put_object_lock_configuration(
            backend: MotoObject,
            bucket_name: str,
            *,
            mode: ObjectLockRetentionModeType,
            days: int,
            **kwargs: MotoObject,
        ) -> None:
            original(backend, bucket_name, mode=mode, days=days, **kwargs)
            self._s3.put_bucket_versioning(
                Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"}
            )
            self._s3.put_object_lock_configuration(
                Bucket=bucket_name,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": mode, "Days": days}},
                },
            )

        return put_object_lock_configuration

    def _delete_bucket(self, original: MotoObject) -> MotoObject:
        def delete_bucket(backend: MotoObject, bucket_name: str) -> MotoObject:
            deleted = original(backend, bucket_name)
            self._s3.delete_bucket(Bucket=bucket_name)
            return deleted

        return delete_bucket


def _definition(table: MotoObject) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "TableName": table.name,
        "KeySchema": table.schema,
        "AttributeDefinitions": table.attr,
        "BillingMode": "PAY_PER_REQUEST",
    }
    if table.global_indexes:
        described = [index.describe() for index in table.global_indexes]
        definition["GlobalSecondaryIndexes"] = [
            {name: one[name] for name in ("IndexName", "KeySchema", "Projection")}
            for one in described
        ]
    if table.stream_specification:
        definition["StreamSpecification"] = table.stream_specification
    return definition
