"""Stack updates: what is to be retained is, also the value of a parameter by default."""

from typing import Any

from moto.cloudformation import parsing
from moto.cloudformation.models import CloudFormationBackend
from moto.cloudformation.parsing import ResourceMap

from infra.emulator.patches import MotoObject, Patches, require_parameters


def close(patches: Patches) -> None:
    """Moto honours Retain when a stack goes, but not when an update removes a resource."""
    require_parameters(ResourceMap._delete_resource, "parsed_resource", "resource_json")  # noqa: SLF001
    patches.wrap(ResourceMap, "_delete_resource", _delete_resource)
    patches.wrap(parsing, "parse_and_update_resource", _update)
    patches.wrap(CloudFormationBackend, "_resolve_update_parameters", _resolve)


def _delete_resource(original: MotoObject) -> MotoObject:
    def delete_resource(
        self: MotoObject, parsed_resource: MotoObject, resource_json: dict[str, Any]
    ) -> None:
        if resource_json.get("DeletionPolicy") != "Retain":
            original(self, parsed_resource, resource_json)

    return delete_resource


def _resolve(original: MotoObject) -> MotoObject:
    """Moto knows no previous value of a parameter that was never given."""

    def resolve_update_parameters(
        self: MotoObject, instance: MotoObject, incoming_params: list[dict[str, Any]]
    ) -> MotoObject:
        known = getattr(instance, "stack_parameters", instance.parameters)
        given = [
            {"ParameterKey": one["ParameterKey"], "ParameterValue": str(known[one["ParameterKey"]])}
            if one.get("UsePreviousValue") and one["ParameterKey"] in known
            else one
            for one in incoming_params
        ]
        return original(self, instance, given)

    return resolve_update_parameters


def _update(original: MotoObject) -> MotoObject:
    """Moto looks at conditions when it makes a stack, and not when it updates one."""

    def parse_and_update_resource(
        logical_id: str,
        resource_json: dict[str, Any],
        resources_map: MotoObject,
        account_id: str,
        region_name: str,
    ) -> MotoObject:
        arguments = (logical_id, resource_json, resources_map, account_id, region_name)
        condition = resource_json.get("Condition")
        present = resources_map._parsed_resources.get(logical_id)  # noqa: SLF001
        if condition and not resources_map.lazy_condition_map[condition]:
            if present is not None:
                resources_map._delete_resource(present, resource_json)  # noqa: SLF001
            return None
        if condition and present is None:
            return parsing.parse_and_create_resource(*arguments)
        return original(*arguments)

    return parse_and_update_resource
