"""KMS keys of a template: a policy given as an object, key spec, key usage, updates."""

import json
from typing import Any

from moto.kms.models import Key, kms_backends

from infra.emulator.patches import MotoObject, Patches


def close(patches: Patches) -> None:
    """Moto makes every key a symmetric one and stores the policy object where a text belongs."""
    patches.wrap(Key, "create_from_cloudformation_json", lambda _: _create)
    patches.add(Key, "update_from_cloudformation_json", classmethod(_update))


def _create(
    cls: MotoObject,
    resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
    **_: MotoObject,
) -> MotoObject:
    del cls, resource_name
    properties = cloudformation_json["Properties"]
    key = kms_backends[account_id][region_name].create_key(
        policy=_policy(properties),
        key_usage=properties.get("KeyUsage", "ENCRYPT_DECRYPT"),
        key_spec=properties.get("KeySpec", "SYMMETRIC_DEFAULT"),
        description=properties.get("Description", ""),
        tags=[
            {"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in properties.get("Tags", [])
        ],
        multi_region=properties.get("MultiRegion", False),
    )
    _set(key, properties)
    return key


def _update(
    cls: MotoObject,
    *,
    original_resource: MotoObject,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> MotoObject:
    properties = cloudformation_json["Properties"]
    spec = properties.get("KeySpec", "SYMMETRIC_DEFAULT")
    usage = properties.get("KeyUsage", "ENCRYPT_DECRYPT")
    if (spec, usage) != (original_resource.key_spec, original_resource.key_usage):
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )
    original_resource.policy = _policy(properties) or original_resource.policy
    original_resource.description = properties.get("Description", "")
    _set(original_resource, properties)
    return original_resource


def _set(key: MotoObject, properties: dict[str, Any]) -> None:
    key.key_rotation_status = properties.get("EnableKeyRotation", False)
    key.enabled = properties.get("Enabled", True)


def _policy(properties: dict[str, Any]) -> str | None:
    policy = properties.get("KeyPolicy")
    if policy is None or isinstance(policy, str):
        return policy
    return json.dumps(policy)
