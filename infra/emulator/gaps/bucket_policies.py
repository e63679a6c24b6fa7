"""``AWS::S3::BucketPolicy``, and policies with conditions."""

import json
from typing import Any

from moto.s3.models import FakeBucket, s3_backends
from moto.utilities.utils import get_partition

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject, Patches

_TYPE = "AWS::S3::BucketPolicy"


class BucketPolicyResource(TemplateType):
    """A bucket's policy; ``Ref`` is the bucket's name."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return _TYPE

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "BucketPolicyResource":
        """Put the policy on the bucket."""
        del resource_name
        properties = cloudformation_json["Properties"]
        bucket = properties["Bucket"]
        document = json.dumps(properties["PolicyDocument"]).encode()
        s3_backends[account_id][get_partition(region_name)].put_bucket_policy(bucket, document)
        return cls(bucket)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "BucketPolicyResource":
        """Put the new policy on the bucket."""
        del original_resource
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )

    def delete(self, account_id: str, region_name: str) -> None:
        """Take the policy off, if the bucket is still there."""
        backend = s3_backends[account_id][get_partition(region_name)]
        if self.physical_resource_id in backend.buckets:
            backend.delete_bucket_policy(self.physical_resource_id)


def close(patches: Patches) -> None:
    """Let templates use the type, and do not let moto misread its conditions.

    Moto ignores conditions, so "deny whatever is not TLS" would deny everything. A statement with
    a condition is therefore left out of the evaluation; the policy itself reads back unchanged.
    """
    register_type(BucketPolicyResource)
    patches.wrap(FakeBucket, "get_permission", _get_permission)


def _get_permission(original: MotoObject) -> MotoObject:
    def get_permission(bucket: MotoObject, action: str, resource: str) -> MotoObject:
        whole = bucket.policy
        if whole is None:
            return original(bucket, action, resource)
        document = json.loads(whole)
        statements = document["Statement"]
        listed = statements if isinstance(statements, list) else [statements]
        document["Statement"] = [one for one in listed if not one.get("Condition")]
        bucket.policy = json.dumps(document).encode()
        try:
            return original(bucket, action, resource)
        finally:
            bucket.policy = whole

    return get_permission
