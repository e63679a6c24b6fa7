"""Attribute values are written as moto writes them, only sooner."""

import json
from typing import Any

import pytest
from moto.core.serialize import JSONSerializer, XFormedAttributePicker
from moto.core.utils import get_service_model

from infra.emulator.gaps import attribute_values
from infra.emulator.patches import Patches

VALUES: dict[str, Any] = {
    "string": {"S": "text"},
    "empty string": {"S": ""},
    "number": {"N": "12.50"},
    "zero": {"N": "0"},
    "bytes": {"B": b"\x00\xff"},
    "no bytes": {"B": b""},
    "strings": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "several bytes": {"BS": [b"a", b"b"]},
    "map": {"M": {"S": {"S": "its own name is a kind"}, "inner": {"M": {"n": {"N": "1"}}}}},
    "empty map": {"M": {}},
    "list": {"L": [{"S": "a"}, {"NULL": True}, {"L": [{"BOOL": False}]}]},
    "empty list": {"L": []},
    "null": {"NULL": True},
    "true": {"BOOL": True},
    "false": {"BOOL": False},
    "nothing": {},
    "no content": {"S": None},
    "a kind that nobody knows": {"X": "y"},
    "a kind under another name": {"s": "text"},
    "two kinds": {"S": "a", "N": "1"},
}


def written(result: dict[str, Any], operation: str = "GetItem") -> Any:
    model = get_service_model("dynamodb").operation_model(operation)
    serializer = JSONSerializer(operation_model=model, value_picker=XFormedAttributePicker())
    return json.loads(serializer.serialize(result)["body"])


def soon(result: dict[str, Any], operation: str = "GetItem") -> Any:
    patches = Patches()
    attribute_values.close(patches)
    try:
        return written(result, operation)
    finally:
        patches.undo()


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_is_what_moto_makes_of_it(value: dict[str, Any]) -> None:
    for result, operation in (
        ({"Item": {"name": value, "other": {"S": "o"}}}, "GetItem"),
        ({"Items": [{"name": value}, {}], "Count": 2}, "Query"),
        ({"Responses": {"table": [{"name": value}]}}, "BatchGetItem"),
    ):
        assert soon(result, operation) == written(result, operation)


def test_an_item_comes_out_as_it_was_put_in() -> None:
    item = {name: VALUES[name] for name in ("string", "number", "list", "true", "null")}
    assert soon({"Item": item}) == {"Item": item}


def test_a_value_is_not_asked_for_the_kinds_that_it_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    picker = XFormedAttributePicker.__call__

    def note(self: Any, context: Any) -> Any:
        asked.append(context.key)
        return picker(self, context)

    monkeypatch.setattr(XFormedAttributePicker, "__call__", note)
    item = {"name": {"S": "text"}, "map": {"M": {"n": {"N": "1"}}}}
    soon({"Item": item})
    assert set(asked) == {"Item", "ConsumedCapacity"}
