"""`TransactWriteItems`, with every refused part named."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.store.connection import (
    CANCELLED,
    CONFLICT,
    IN_PROGRESS,
    connection,
    guarded,
    response_code,
)
from chalicelib.store.table import Table

_REFUSED = "ConditionalCheckFailed"


class Refused(msgspec.Struct, frozen=True):
    """One part's condition did not hold; `item` is the row as it was, if there was one."""

    item: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nothing was written.

    `refused` names the parts whose condition failed. When it is empty, somebody else was writing
    (or DynamoDB was short of capacity): no verdict, and worth another attempt.
    """

    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def contended(self) -> bool:
        """Whether the cancellation says nothing about the rows."""
        return not self.refused

    def item(self, part: str) -> dict[str, Any] | None:
        """The raw row that stood in the way of a part, where there was one."""
        refused = self.refused.get(part)
        return refused.item if refused is not None else None


class Transaction:
    """Collects named parts and writes all or none of them."""

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[str, dict[str, Any]]]] = {
            kind: [] for kind in ("check", "delete", "put", "update")
        }

    def check(self, name: str, model: Table, condition: Condition) -> None:
        """A condition on a row that is not written."""
        hash_key, range_key = model._get_hash_range_key_serialized_values()  # noqa: SLF001
        arguments = type(model).get_operation_kwargs_from_class(hash_key, range_key, condition)
        self._parts["check"].append((name, arguments))

    def delete(self, name: str, model: Table, condition: Condition) -> None:
        """Delete a row on a condition."""
        self._parts["delete"].append((name, model.get_delete_kwargs_from_instance(condition)))

    def put(self, name: str, model: Table, condition: Condition) -> None:
        """Put a row on a condition; every put of ours says that its key is new, or why not."""
        self._parts["put"].append(
            (
                name,
                model.get_save_kwargs_from_instance(
                    condition=condition, return_values_on_condition_failure="ALL_OLD"
                ),
            )
        )

    def update(
        self, name: str, model: Table, actions: list[Action], condition: Condition | None
    ) -> None:
        """Update a row on a condition; None where it may be as it likes."""
        self._parts["update"].append(
            (
                name,
                model.get_update_kwargs_from_instance(
                    actions=actions,
                    condition=condition,
                    return_values_on_condition_failure="ALL_OLD",
                ),
            )
        )

    def write(self) -> Cancelled | None:
        """Write all parts, or none and say why.

        The SDK repeats a request that got no answer under the same client token, which makes
        the repetition harmless within DynamoDB's ten minutes.

        Raises:
            Unavailable: no answer, throttled as a whole, or misconfigured.
        """
        parts = self._parts
        with guarded():
            try:
                connection().transact_write_items(
                    condition_check_items=[arguments for _, arguments in parts["check"]],
                    delete_items=[arguments for _, arguments in parts["delete"]],
                    put_items=[arguments for _, arguments in parts["put"]],
                    update_items=[arguments for _, arguments in parts["update"]],
                )
            except TransactWriteError as error:
                code = response_code(error)
                if code in {CONFLICT, IN_PROGRESS}:
                    return Cancelled()
                if code != CANCELLED:
                    raise
                return self._reasons(error)
        return None

    def _reasons(self, error: TransactWriteError) -> Cancelled:
        # pynamodb sends checks, deletes, puts and updates in this order, and DynamoDB answers
        # with one reason for each.
        names = [name for kind in self._parts.values() for name, _ in kind]
        return Cancelled(
            refused={
                name: Refused(reason.raw_item)
                for name, reason in zip(names, error.cancellation_reasons, strict=False)
                if reason is not None and reason.code == _REFUSED
            }
        )
