"""DynamoDB's attribute values: written as what they are, not looked for under every name."""

from collections.abc import Callable
from typing import Any

from moto.core.serialize import BaseJSONSerializer

from infra.emulator.patches import MotoObject, Patches, require_parameters


def close(patches: Patches) -> None:
    """Write the one member that an attribute value has.

    Moto asks each value for all ten kinds, each under several names: at lists of rows that takes
    longer than everything else that it does for a request.
    """
    patches.wrap(BaseJSONSerializer, "_serialize_type_structure", _of_its_kind)


def _of_its_kind(original: Callable[..., Any]) -> MotoObject:
    require_parameters(original, "serialized", "value", "shape", "key")

    def _serialize_type_structure(
        self: MotoObject, serialized: MotoObject, value: object, shape: MotoObject, key: str
    ) -> None:
        held = _held(value) if key and shape.name == "AttributeValue" else None
        if held is None or held[0] not in shape.members:
            original(self, serialized, value, shape, key)
            return
        kind, content = held
        written: dict[str, Any] = {}
        self._serialize(written, content, shape.members[kind], kind)
        self._default_serialize(serialized, written, shape, key)

    return _serialize_type_structure


def _held(value: object) -> tuple[str, object] | None:
    """The only member of a dictionary; anything else is for moto to look into."""
    if type(value) is not dict or len(value) != 1:
        return None
    ((kind, content),) = value.items()
    return None if content is None else (kind, content)
