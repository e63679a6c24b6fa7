"""IAM's decision about a request: as much of it as identity policies without denials need."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Use:
    """An action on a resource, with the condition keys of the request.

    Args:
        action: such as `lambda:GetFunction`.
        resource: its ARN, or `*` where the action is of none.
        context: the request's condition keys, such as `iam:PassedToService`.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Grant:
    """One action on one resource pattern of one statement."""

    action: str
    resource: str
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Operator, key and values."""

    def covers(self, use: Use) -> bool:
        """Whether it allows a use. Actions are compared without regard to case, as IAM does."""
        return (
            self.action.lower() == use.action.lower()
            and fnmatch.fnmatchcase(use.resource, self.resource)
            and all(_holds(one, use.context) for one in self.conditions)
        )


def grants(documents: Iterable[Mapping[str, Any]]) -> list[Grant]:
    """Every grant of some policies.

    Raises:
        ValueError: one has a statement that this does not understand.
    """
    found = []
    for document in documents:
        for statement in document["Statement"]:
            if statement["Effect"] != "Allow" or {"NotAction", "NotResource"} & set(statement):
                raise ValueError(f"not understood: {statement}")
            conditions = tuple(_conditions(statement.get("Condition", {})))
            found += [
                Grant(action, resource, conditions)
                for action in _listed(statement["Action"])
                for resource in _listed(statement["Resource"])
            ]
    return found


def _conditions(block: Mapping[str, Any]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for operator, keys in block.items():
        if operator not in {"StringEquals", "StringLike", "ArnLike"}:
            raise ValueError(f"not understood: {operator}")
        for key, values in keys.items():
            yield operator, key, tuple(_listed(values))


def _holds(condition: tuple[str, str, tuple[str, ...]], context: Mapping[str, str]) -> bool:
    operator, key, values = condition
    value = context.get(key)
    if value is None:
        return False
    if operator == "StringEquals":
        return value in values
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in values)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
