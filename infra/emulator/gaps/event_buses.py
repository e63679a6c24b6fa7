"""Event buses of a template: ``Ref`` is the name, and an update keeps the rules."""

from typing import Any

from moto.events.models import EventBus

from infra.emulator.patches import MotoObject, Patches


def close(patches: Patches) -> None:
    """Moto gives its own object for a ``Ref``, and an update makes the bus anew."""
    patches.add(EventBus, "physical_resource_id", property(lambda bus: bus.name))
    patches.wrap(EventBus, "update_from_cloudformation_json", _update)


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
        named = "Name" in cloudformation_json["Properties"]
        if not named or new_resource_name == original_resource.name:
            return original_resource  # moto would make it anew, without its rules
        return original(
            original_resource, new_resource_name, cloudformation_json, account_id, region_name
        )

    return update
