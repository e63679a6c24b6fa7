"""Stack updates: what is to be retained is."""

from typing import Any

from moto.cloudformation.parsing import ResourceMap

from infra.emulator.patches import MotoObject, Patches, require_parameters


def close(patches: Patches) -> None:
    """Moto honours Retain when a stack goes, but not when an update removes a resource."""
    require_parameters(ResourceMap._delete_resource, "parsed_resource", "resource_json")  # noqa: SLF001
    patches.wrap(ResourceMap, "_delete_resource", _delete_resource)


def _delete_resource(original: MotoObject) -> MotoObject:
    def delete_resource(
        self: MotoObject, parsed_resource: MotoObject, resource_json: dict[str, Any]
    ) -> None:
        if resource_json.get("DeletionPolicy") != "Retain":
            original(self, parsed_resource, resource_json)

    return delete_resource
