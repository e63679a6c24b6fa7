"""What the emulator keeps or counts once is what moto makes of it each time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jsonpath_ng.ext
import pytest
from moto.core import responses, utils
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import TooManyClauses
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

from infra.emulator.gaps import actions, clocks, event_templates, expressions
from infra.emulator.patches import Patches

# Moto asks this module, which does not say that it gives it away.
JSON_PATHS: Any = jsonpath_ng.ext
NAMES = {"#a": "alpha", "#b": "beta"}
UPDATES = [
    "SET #a = :one",
    "SET #a = :one, #b = if_not_exists(#b, :two), gamma = gamma + :one REMOVE delta",
    "ADD gamma :two DELETE tags :tag",
    "REMOVE #a SET #b = :two",
]
CONDITIONS = [
    "attribute_exists(#a) AND (#b = :two OR NOT gamma < :one)",
    "gamma BETWEEN :one AND :two",
    "contains(tags, :word) and size(#a) <= :two",
    "attribute_not_exists(delta)",
]
ITEM: dict[str, Any] = {
    "alpha": {"S": "a"}, "beta": {"N": "2"}, "gamma": {"N": "1"}, "delta": {"S": "d"},
    "tags": {"SS": ["x", "y"]},
}  # fmt: skip
GIVEN: dict[str, Any] = {
    ":one": {"N": "1"}, ":two": {"N": "2"}, ":tag": {"SS": ["x"]}, ":word": {"S": "x"},
}  # fmt: skip


@contextmanager
def shorter(*ways: Any) -> Iterator[None]:
    patches = Patches()
    try:
        for way in ways:
            way.close(patches)
        yield
    finally:
        patches.undo()


class NoKeys:
    """A table whose keys no update touches."""

    attribute_keys = table_key_attrs = ("pk",)
    attr = ({"AttributeName": "pk", "AttributeType": "S"},)


def updated(expression: str, one: str) -> Any:
    """What an update leaves of the item."""
    item = Item(DynamoType({"S": "k"}), None, ITEM)
    given = {**GIVEN, ":one": {"N": one}}
    used = {name: value for name, value in given.items() if name in expression}
    tree = UpdateExpressionParser.make(expression)
    checked = UpdateExpressionValidator(tree, NAMES, used, item, NoKeys()).validate()
    checked.normalize()
    UpdateExpressionExecutor(checked, item, NAMES).execute()
    return item.to_json()


def holds(expression: str, two: str) -> bool:
    item = Item(DynamoType({"S": "k"}), None, ITEM)
    given = {**GIVEN, ":two": {"N": two}}
    return bool(get_filter_expression(expression, NAMES, given).expr(item))


def twice(ask: Callable[[str, str], Any], expression: str) -> list[Any]:
    """With other values, and once more with the first ones: a text is kept, and no value."""
    return [ask(expression, value) for value in ("1", "5", "1")]


@pytest.mark.parametrize("expression", UPDATES)
def test_an_update_leaves_what_moto_leaves(expression: str) -> None:
    plain = twice(updated, expression)
    with shorter(expressions):
        assert twice(updated, expression) == plain


@pytest.mark.parametrize("expression", CONDITIONS)
def test_a_condition_holds_where_moto_says_so(expression: str) -> None:
    plain = twice(holds, expression)
    with shorter(expressions):
        holds("attribute_exists(#b)", "1")
        assert twice(holds, expression) == plain


@pytest.mark.parametrize("kind", ["SET", "REMOVE"])
def test_a_clause_that_stands_twice_is_refused(kind: str) -> None:
    one = {"SET": "SET #a = :one", "REMOVE": "REMOVE #a"}[kind]
    with shorter(expressions), pytest.raises(TooManyClauses, match=kind):
        updated(f"{one} {one.replace('#a', '#b')}", "1")


def test_an_expression_is_read_once() -> None:
    with shorter(expressions):
        first = UpdateExpressionParser.make(UPDATES[0])
        assert UpdateExpressionParser.make(UPDATES[0]) is first


def test_a_path_finds_what_it_found_and_is_read_once() -> None:
    event = {"detail": {"id": 1}, "detail-type": "x"}
    path = "$.detail-type"
    plain = [found.value for found in JSON_PATHS.parse(path).find(event)]
    with shorter(event_templates):
        parsed = JSON_PATHS.parse(path)
        assert [found.value for found in parsed.find(event)] == plain == ["x"]
        assert JSON_PATHS.parse(path) is parsed


def test_the_clock_tells_the_time_that_moto_tells() -> None:
    then = utils.utcfromtimestamp(1_780_000_000)
    with shorter(clocks):
        assert abs(utils.unix_time() - time.time()) < 1
        assert abs(utils.unix_time_millis() - time.time() * 1000) < 1000
        assert utils.unix_time(then) == 1_780_000_000


def test_an_action_has_the_name_that_moto_gives_it() -> None:
    names = ("TransactWriteItems", "DescribeDBInstances", "ListTagsOfResource")
    plain = [responses.camelcase_to_underscores(name) for name in names]
    with shorter(actions):
        assert [responses.camelcase_to_underscores(name) for name in names] == plain
