"""Compares the store's models with the template's tables."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pynamodb.attributes import TTLAttribute

from chalicelib import store
from chalicelib.store.table import StageTable, Table

PREFIX = "rollcall-${Stage}-"
Shape = dict[str, Any]


def models() -> list[type[Table]]:
    """Every model of the store, whether anything imports its module or not."""
    for module in pkgutil.iter_modules(store.__path__):
        importlib.import_module(f"{store.__name__}.{module.name}")
    return [model for model in Table.__subclasses__() if model.__module__.startswith("chalicelib")]


def table_of(model: type[Table]) -> str:
    """A model's table without the stage's prefix, and without reading the settings."""
    name = inspect.getattr_static(model.Meta, "table_name")
    assert isinstance(name, StageTable), f"{model.__name__} names its table itself"
    return name._name


def shape_of_model(model: type[Table]) -> Shape:
    """Keys with their types, indexes and the TTL attribute, as the model has them."""
    attributes = list(model.get_attributes().values())
    indexes = [index for index in vars(model).values() if hasattr(index, "Meta")]
    ttl = [a.attr_name for a in attributes if isinstance(a, TTLAttribute)]
    return {
        "keys": _keys(attributes),
        "ttl": ttl[0] if ttl else None,
        "indexes": {
            index.Meta.index_name: {
                "keys": _keys(index.Meta.attributes.values()),
                "projection": index.Meta.projection.projection_type,
            }
            for index in indexes
            if hasattr(index.Meta, "index_name")
        },
    }


def _keys(attributes: Iterable[Any]) -> list[tuple[str, str, str]]:
    hashes = [(a.attr_name, "HASH", a.attr_type) for a in attributes if a.is_hash_key]
    ranges = [(a.attr_name, "RANGE", a.attr_type) for a in attributes if a.is_range_key]
    return hashes + ranges


def tables(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The template's tables by name, without the stage's prefix."""
    return {
        resource["Properties"]["TableName"]["Fn::Sub"].removeprefix(PREFIX): resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::DynamoDB::Table"
    }


def shape_of_table(properties: Mapping[str, Any]) -> Shape:
    """Keys with their types, indexes and the TTL attribute, as the template has them."""
    types = {d["AttributeName"]: d["AttributeType"] for d in properties["AttributeDefinitions"]}

    def keys(schema: list[dict[str, str]]) -> list[tuple[str, str, str]]:
        return [(k["AttributeName"], k["KeyType"], types[k["AttributeName"]]) for k in schema]

    ttl = properties.get("TimeToLiveSpecification", {})
    indexes = [
        *properties.get("GlobalSecondaryIndexes", []),
        *properties.get("LocalSecondaryIndexes", []),
    ]
    return {
        "keys": keys(properties["KeySchema"]),
        "ttl": ttl["AttributeName"] if ttl.get("Enabled") else None,
        "indexes": {
            index["IndexName"]: {
                "keys": keys(index["KeySchema"]),
                "projection": index["Projection"]["ProjectionType"],
            }
            for index in indexes
        },
    }


def disagreements(found: Iterable[type[Table]], template: Mapping[str, Any]) -> list[str]:
    """Every point in which models and template differ; empty if they agree."""
    by_table = {table_of(model): model for model in found}
    present = tables(template)
    return [
        *(f"{name}: no table in the template" for name in sorted(by_table.keys() - present)),
        *(f"{name}: no model" for name in sorted(present.keys() - by_table)),
        *(
            line
            for name in sorted(present.keys() & by_table)
            for line in _differences(
                name, shape_of_model(by_table[name]), shape_of_table(present[name])
            )
        ),
    ]


def _differences(name: str, model: Shape, table: Shape) -> Iterator[str]:
    for part in ("keys", "ttl"):
        if model[part] != table[part]:
            yield f"{name}: {part}: model {model[part]}, template {table[part]}"
    for index in sorted(model["indexes"].keys() | table["indexes"]):
        ours, theirs = model["indexes"].get(index), table["indexes"].get(index)
        if ours != theirs:
            yield f"{name}: index {index}: model {ours}, template {theirs}"
