"""Log groups of a template: updates."""

from typing import Any

from moto.logs.models import LogGroup, logs_backends

from infra.emulator.patches import MotoObject, Patches


def close(patches: Patches) -> None:
    """Moto forgets a log group that an update changes."""
    patches.add(LogGroup, "update_from_cloudformation_json", classmethod(_update))


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
    if "LogGroupName" in properties and new_resource_name != original_resource.name:
        logs_backends[account_id][region_name].delete_log_group(original_resource.name)
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )
    original_resource.set_retention_policy(properties.get("RetentionInDays"))
    return original_resource
