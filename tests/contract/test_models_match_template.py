"""Models and template say the same of every table, or this fails."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from chalicelib.store.table import StageTable
from infra import template
from tests.contract import models


def doctored() -> dict[str, Any]:
    return copy.deepcopy(template.load())


def table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(models.tables(document))[name]  # type: ignore[assignment]
    return found


def test_models_and_template_agree() -> None:
    assert len(models.models()) == len(models.tables(template.load()))
    assert models.disagreements(models.models(), template.load()) == []


def _other_projection(document: dict[str, Any]) -> None:
    index = table(document, "agent_presence")["GlobalSecondaryIndexes"][0]
    index["Projection"]["ProjectionType"] = "ALL"


def _other_index_key(document: dict[str, Any]) -> None:
    index = table(document, "audit_records")["GlobalSecondaryIndexes"][0]
    index["KeySchema"].reverse()


def _index_gone(document: dict[str, Any]) -> None:
    table(document, "agent_identities")["GlobalSecondaryIndexes"].pop()


def _index_too_many(document: dict[str, Any]) -> None:
    indexes = table(document, "agent_identities")["GlobalSecondaryIndexes"]
    indexes.append({**indexes[0], "IndexName": "by_nothing"})


def _ttl_off(document: dict[str, Any]) -> None:
    table(document, "jobs")["TimeToLiveSpecification"]["Enabled"] = False


def _ttl_elsewhere(document: dict[str, Any]) -> None:
    table(document, "jobs")["TimeToLiveSpecification"]["AttributeName"] = "expires"


def _ttl_too_many(document: dict[str, Any]) -> None:
    ttl = {"AttributeName": "ttl", "Enabled": True}
    table(document, "agent_revocations")["TimeToLiveSpecification"] = ttl


def _other_type(document: dict[str, Any]) -> None:
    for definition in table(document, "artifacts")["AttributeDefinitions"]:
        definition["AttributeType"] = "N"


def _no_range_key(document: dict[str, Any]) -> None:
    table(document, "artifacts")["KeySchema"].pop()


def _table_gone(document: dict[str, Any]) -> None:
    del document["Resources"]["JobsTable"]


def _table_too_many(document: dict[str, Any]) -> None:
    extra = copy.deepcopy(document["Resources"]["JobsTable"])
    extra["Properties"]["TableName"] = {"Fn::Sub": "rollcall-${Stage}-nobodys"}
    document["Resources"]["NobodysTable"] = extra


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_other_projection, "agent_presence: index overdue"),
        (_other_index_key, "audit_records: index by_resource"),
        (_index_gone, "agent_identities: index by_token"),
        (_index_too_many, "agent_identities: index by_nothing"),
        (_ttl_off, "jobs: ttl"),
        (_ttl_elsewhere, "jobs: ttl"),
        (_ttl_too_many, "agent_revocations: ttl"),
        (_other_type, "artifacts: keys"),
        (_no_range_key, "artifacts: keys"),
        (_table_gone, "jobs: no table in the template"),
        (_table_too_many, "nobodys: no model"),
    ],
)
def test_a_doctored_template_is_noticed(
    change: Callable[[dict[str, Any]], None], named: str
) -> None:
    document = doctored()
    change(document)
    found = models.disagreements(models.models(), document)
    assert [line for line in found if line.startswith(named)], found


class _Index(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "overdue"
        projection = KeysOnlyProjection()

    due = NumberAttribute(hash_key=True)
    pk = UnicodeAttribute(range_key=True)


class _Doctored(Model):
    """A presence whose index is keyed by a number, and which has a range key."""

    class Meta:
        table_name = StageTable("agent_presence")

    pk = UnicodeAttribute(hash_key=True)
    sort = UnicodeAttribute(range_key=True)
    overdue = _Index()
    due = NumberAttribute(null=True)


def test_a_doctored_model_is_noticed() -> None:
    others = [m for m in models.models() if models.table_of(m) != "agent_presence"]
    found = models.disagreements([*others, _Doctored], template.load())  # type: ignore[list-item]
    assert [line.split(": model")[0] for line in found] == [
        "agent_presence: keys",
        "agent_presence: index overdue",
    ]
