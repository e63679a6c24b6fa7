"""The floor of an exchange: a bare Chalice view that sends by boto3 what a real exchange sent.

The requests were recorded: the same number of items, of the same sizes, with the same
conditions. Only the keys of the rows that an exchange makes are fresh, where they are read as where
they are written, so that each is new. Nothing is checked, made up, signed or hashed.
"""

import ast
import os
import secrets
from pathlib import Path
from typing import Any

import boto3
from chalice import Chalice

app = Chalice(app_name="floor", debug=True)  # an error answers with its traceback
_client = boto3.client("dynamodb")
_recorded: list[tuple[str, dict[str, Any]]]
_created: list[str]
_recorded, _created = ast.literal_eval(Path(os.environ["FLOOR_REQUESTS"]).read_text("utf-8"))
_CREATED = frozenset(_created)
_SENDERS: dict[str, Any] = {
    "BatchGetItem": _client.batch_get_item,
    "GetItem": _client.get_item,
    "TransactWriteItems": _client.transact_write_items,
}


def _key(key: dict[str, Any], fresh: str) -> dict[str, Any]:
    if "pk" not in key or key["pk"]["S"] not in _CREATED:
        return key
    return {**key, "pk": {"S": key["pk"]["S"][: -len(fresh)] + fresh}}


def _part(part: dict[str, Any], fresh: str) -> dict[str, Any]:
    ((kind, given),) = part.items()
    member = "Item" if kind == "Put" else "Key"
    return {kind: {**given, member: _key(given[member], fresh)}}


def _transaction(given: dict[str, Any], fresh: str) -> dict[str, Any]:
    return {**given, "TransactItems": [_part(part, fresh) for part in given["TransactItems"]]}


def _batch(given: dict[str, Any], fresh: str) -> dict[str, Any]:
    tables = {
        table: {**wanted, "Keys": [_key(key, fresh) for key in wanted["Keys"]]}
        for table, wanted in given["RequestItems"].items()
    }
    return {**given, "RequestItems": tables}


def _item(given: dict[str, Any], fresh: str) -> dict[str, Any]:
    return {**given, "Key": _key(given["Key"], fresh)}


_RENEWED: dict[str, Any] = {
    "BatchGetItem": _batch,
    "GetItem": _item,
    "TransactWriteItems": _transaction,
}


@app.route("/api/v1/agent-enrollment/exchange", methods=["POST"])  # type: ignore[untyped-decorator]
def exchange() -> dict[str, Any]:
    """The same requests, one after the other."""
    said = app.current_request.json_body
    fresh = secrets.token_hex(6)
    for operation, parameters in _recorded:
        _SENDERS[operation](**_RENEWED[operation](parameters, fresh))
    return {"hostname": said["hostname"]}
