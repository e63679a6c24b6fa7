"""Evidence is only ever added to: by what the policies allow, and by what the store's code says."""

import ast
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.store import audit_records
from chalicelib.store.transaction import Transaction

ROOT = Path(__file__).resolve().parents[2]
POLICIES = sorted((ROOT / ".chalice").glob("policy-*.json"))
ALLOWED = {
    "dynamodb:PutItem",
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:Query",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
WRITES = {"save", "update", "delete", "batch_write", "put_item", "update_item", "delete_item"}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_no_function_may_do_anything_to_audit_records_but_add_and_read(policy: Path) -> None:
    statements: list[dict[str, Any]] = json.loads(policy.read_text("utf-8"))["Statement"]
    for statement in statements:
        if any("AuditRecords" in resource for resource in statement["Resource"]):
            assert set(statement["Action"]) <= ALLOWED, statement["Sid"]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_no_function_may_remove_a_batch_or_end_its_lock(policy: Path) -> None:
    statements: list[dict[str, Any]] = json.loads(policy.read_text("utf-8"))["Statement"]
    for statement in statements:
        if any("EvidenceBucket" in resource for resource in statement["Resource"]):
            assert not {
                action
                for action in statement["Action"]
                if "Delete" in action or "Bypass" in action or "BucketObjectLock" in action
            }


def _calls(module: Any) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Call)]  # fmt: skip


def test_the_store_of_audit_records_writes_only_where_nothing_is() -> None:
    written = 0
    for call in _calls(audit_records):
        if not isinstance(call.func, ast.Attribute):
            continue
        name, owner = call.func.attr, ast.unparse(call.func.value)
        if name == "put" and owner == "transaction":
            condition = call.args[2]
        elif name in WRITES:
            assert name == "save", f"{ast.unparse(call)} is no append"
            condition = call.args[0]
        else:
            continue
        assert ast.unparse(condition) == "AuditRecordItem.pk.does_not_exist()"
        written += 1
    assert written >= 2, "the test no longer sees how records are written"


def test_no_other_module_writes_audit_records() -> None:
    for path in sorted((ROOT / "chalicelib").rglob("*.py")):
        if path.name == "audit_records.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                assert not (owner.startswith("AuditRecordItem") and node.func.attr in WRITES), path


def test_no_part_of_a_transaction_can_do_without_a_condition() -> None:
    for name in ("put", "update", "delete"):
        condition = inspect.signature(getattr(Transaction, name)).parameters["condition"]
        assert condition.default is inspect.Parameter.empty
