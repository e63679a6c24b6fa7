"""The floor of an exchange: a bare Chalice view that sends by boto3 what a real exchange sent.

The requests were recorded: the same number of items, of the same sizes, with the same
conditions. Only the keys of what is put are fresh, so that each is new. Nothing is checked, made
up, signed or hashed.
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
_recorded: list[tuple[str, dict[str, Any]]] = ast.literal_eval(
    Path(os.environ["FLOOR_REQUESTS"]).read_text("utf-8")
)
_SENDERS: dict[str, Any] = {
    "BatchGetItem": _client.batch_get_item,
    "GetItem": _client.get_item,
    "TransactWriteItems": _client.transact_write_items,
}


@app.route("/api/v1/agent-enrollment/exchange", methods=["POST"])  # type: ignore[untyped-decorator]
def exchange() -> dict[str, Any]:
    """The same requests, one after the other."""
    said = app.current_request.json_body
    fresh = secrets.token_hex(6)
    for operation, parameters in _recorded:
        given = dict(parameters)
        if operation == "TransactWriteItems":
            given.pop("ClientRequestToken", None)
            given["TransactItems"] = [_renewed(part, fresh) for part in given["TransactItems"]]
        _SENDERS[operation](**given)
    return {"hostname": said["hostname"]}


def _renewed(part: dict[str, Any], fresh: str) -> dict[str, Any]:
    if "Put" not in part:
        return part
    put = part["Put"]
    key = put["Item"]["pk"]["S"]
    return {"Put": {**put, "Item": {**put["Item"], "pk": {"S": key[: -len(fresh)] + fresh}}}}
