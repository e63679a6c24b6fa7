"""DynamoDB's expressions: read once, and not anew for each request."""

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.dynamodb.parsing.validators import ActionCountValidator

from infra.emulator.patches import MotoObject, Patches, require_parameters

_KEPT = 1_024


def close(patches: Patches) -> None:
    """Keep what moto makes of a text: an application has some dozen expressions.

    What is kept is never changed: moto validates copies of an update's tree, and builds new nodes
    from the words of a condition.
    """
    require_parameters(UpdateExpressionParser.make, "expression_str")
    patches.wrap(UpdateExpressionParser, "make", _made_once)
    patches.wrap(ConditionExpressionParser, "_lex_condition_expression", _read_once)
    patches.wrap(DepthFirstTraverser, "nodes_to_be_processed", _known_by_class)
    patches.add(ActionCountValidator, "traverse", _counted_at_the_root)


def _made_once(original: Callable[..., Any]) -> MotoObject:
    made = functools.lru_cache(_KEPT)(original)
    return lambda _cls, expression_str: made(expression_str)


def _read_once(original: Callable[..., Any]) -> MotoObject:
    known: dict[str, tuple[Any, ...]] = {}

    def _lex_condition_expression(self: MotoObject) -> deque[Any]:
        text = self.condition_expression
        if text not in known:
            if len(known) == _KEPT:
                known.clear()
            known[text] = tuple(original(self))
        return deque(known[text])

    return _lex_condition_expression


def _known_by_class(original: Callable[..., Any]) -> MotoObject:
    known: dict[type, tuple[type, ...]] = {}

    def nodes_to_be_processed(self: MotoObject) -> tuple[type, ...]:
        kind = type(self)
        if kind not in known:
            known[kind] = original(self)
        return known[kind]

    return nodes_to_be_processed


def _counted_at_the_root(self: MotoObject, node: MotoObject) -> MotoObject:
    # Moto counts the clauses below every node once more; the root has all of them below it.
    return self.verify_action_counts(node)
