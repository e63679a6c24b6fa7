"""The floor of an operator's request: a bare Chalice view that sends by boto3 what a real one sent.

Nobody is authorized and nothing is shown.
"""

import ast
import os
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
}


@app.route("/api/v1/agents/{agent_id}", methods=["GET"])  # type: ignore[untyped-decorator]
def show_agent(agent_id: str) -> dict[str, Any]:
    """The same requests, one after the other."""
    for operation, parameters in _recorded:
        _SENDERS[operation](**parameters)
    return {"agent_id": agent_id}
