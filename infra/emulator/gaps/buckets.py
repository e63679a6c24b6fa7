"""S3 buckets of a template: public access block, ownership, lifecycle, versions, lock."""

from typing import Any

from moto.s3.models import FakeBucket, s3_backends
from moto.utilities.utils import get_partition

from infra.emulator.patches import MotoObject, Patches


def close(patches: Patches) -> None:
    """Moto reads a bucket's encryption and tags from the template and leaves the rest out."""
    patches.wrap(FakeBucket, "create_from_cloudformation_json", _create)
    patches.wrap(FakeBucket, "update_from_cloudformation_json", _update)


def _create(original: MotoObject) -> MotoObject:
    def create(
        cls: MotoObject,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: MotoObject,
    ) -> MotoObject:
        del cls
        bucket = original(resource_name, cloudformation_json, account_id, region_name, **kwargs)
        _apply(bucket, cloudformation_json.get("Properties", {}), account_id, region_name)
        return bucket

    return create


def _update(original: MotoObject) -> MotoObject:
    def update(
        cls: MotoObject,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> MotoObject:
        del cls
        bucket = original(
            original_resource, new_resource_name, cloudformation_json, account_id, region_name
        )
        _apply(bucket, cloudformation_json.get("Properties", {}), account_id, region_name)
        return bucket

    return update


def _apply(
    bucket: MotoObject, properties: dict[str, Any], account_id: str, region_name: str
) -> None:
    backend = s3_backends[account_id][get_partition(region_name)]
    if block := properties.get("PublicAccessBlockConfiguration"):
        texts = {key: str(value).lower() for key, value in block.items()}
        backend.put_public_access_block(bucket.name, texts)
    if ownership := properties.get("OwnershipControls"):
        backend.put_bucket_ownership_controls(bucket.name, ownership["Rules"][0]["ObjectOwnership"])
    if versioning := properties.get("VersioningConfiguration"):
        backend.put_bucket_versioning(bucket.name, versioning["Status"])
    if locked := properties.get("ObjectLockConfiguration"):
        _lock(backend, bucket, locked.get("Rule", {}).get("DefaultRetention", {}))
    if lifecycle := properties.get("LifecycleConfiguration"):
        rules = [_rule(rule) for rule in lifecycle["Rules"]]
        backend.put_bucket_lifecycle_configuration(bucket.name, rules)


def _lock(backend: MotoObject, bucket: MotoObject, retention: dict[str, Any]) -> None:
    mode = retention.get("Mode", "")
    days, years = int(retention.get("Days", 0)), int(retention.get("Years", 0))
    if not bucket.object_lock_enabled:
        backend.put_object_lock_configuration(
            bucket.name, lock_enabled=True, mode=mode, days=days, years=years
        )
    # Moto changes nothing of a bucket that holds objects; S3 changes its default at any time.
    bucket.default_lock_mode, bucket.default_lock_days = mode, days
    bucket.default_lock_years = years


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in the words of the API, which are not those of CloudFormation."""
    converted: dict[str, Any] = {"ID": rule.get("Id"), "Status": rule["Status"]}
    # CloudFormation's flat prefix becomes a filter, as the API reports it.
    converted["Filter"] = {"Prefix": rule.get("Prefix", "")}
    expiration = {
        name: rule[key]
        for key, name in (
            ("ExpirationInDays", "Days"),
            ("ExpirationDate", "Date"),
            ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
        )
        if key in rule
    }
    if expiration:
        converted["Expiration"] = expiration
    if aborted := rule.get("AbortIncompleteMultipartUpload"):
        converted["AbortIncompleteMultipartUpload"] = aborted
    if noncurrent := rule.get("NoncurrentVersionExpiration"):
        converted["NoncurrentVersionExpiration"] = noncurrent
    if days := rule.get("NoncurrentVersionExpirationInDays"):
        converted["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    transitions = rule.get("Transitions", [])
    if transitions:
        converted["Transition"] = [
            {
                "Days": one.get("TransitionInDays"),
                "Date": one.get("TransitionDate"),
                "StorageClass": one["StorageClass"],
            }
            for one in transitions
        ]
    return converted
