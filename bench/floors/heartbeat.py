"""The floor of a heartbeat: a bare Chalice view that sends the same `UpdateItem` by boto3.

It checks nothing: no signature, no shape, no tenant. Only the request to DynamoDB is the same.
"""

import hashlib
import os
import time
from typing import Any

import boto3
from chalice import Chalice

app = Chalice(app_name="floor", debug=True)  # an error answers with its traceback
_table = os.environ["ROLLCALL_TABLE_PREFIX"] + "agent_presence"
_organization = os.environ["FLOOR_ORGANIZATION"]
_client = boto3.client("dynamodb")
_UPDATE = "SET k = :k, q = :q, b = :b, i = :i, l = :l, n = :n, due = :due, v = :v, u = :u"
_CONDITION = (
    "s = :s AND (k = :k OR p = :k) AND contains(sc, :scope) AND i = :i"
    " AND ((q < :q AND n <= :l) OR (q = :q AND b = :b))"
)


@app.route("/api/v1/agents/{agent_id}/telemetry/heartbeat", methods=["POST"])  # type: ignore[untyped-decorator]
def hear_heartbeat(agent_id: str) -> dict[str, Any]:
    """One `UpdateItem`."""
    request = app.current_request
    said = request.json_body
    now = time.time_ns() // 1_000_000
    key = hashlib.sha256(request.headers["authorization"][7:].encode()).digest()
    _client.update_item(
        TableName=_table,
        Key={"pk": {"S": f"{_organization}#{agent_id}"}},
        UpdateExpression=_UPDATE,
        ConditionExpression=_CONDITION,
        ExpressionAttributeValues={
            ":s": {"S": "online"},
            ":scope": {"S": "agent:heartbeat"},
            ":k": {"B": key},
            ":q": {"N": str(said["sequence"])},
            ":b": {"S": said["nonce"]},
            ":i": {"S": said["instance"]},
            ":l": {"N": str(now)},
            ":n": {"N": str(now + 250)},
            ":due": {"S": f"{now // 300_000 * 300}#0"},
            ":v": {"S": said["agent_version"]},
            ":u": {"BOOL": False},
        },
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    return {"status": "online"}
