"""What a heartbeat's cold start pays for: the modules that one beat makes a fresh worker load."""

from __future__ import annotations

import json
import subprocess
import sys

from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls

UNWANTED = {
    "argon2",
    "cffi",
    "cryptography",
    "joserfc",
    "jwt",
    "boto3.s3",
    "chalice.cli",
    "chalice.deploy",
    "chalice.local",
}
PROGRAM = """
import json, sys, time
task, event = sys.argv[1], json.loads(sys.argv[2])
sys.path.insert(0, task)
class Context:
    aws_request_id = "r"; function_name = "f"; memory_limit_in_mb = 1024
    invoked_function_arn = "arn"
    def get_remaining_time_in_millis(self): return 10_000
import app
answer = app.app(event, Context())
print(json.dumps({"body": answer["body"], "modules": sorted(sys.modules)}))
"""


def test_a_beat_loads_nothing_that_it_does_not_need(stack: LocalStack, calls: Calls) -> None:
    host = calls.enroll()
    function = stack.cloud.functions["rollcall-dev"]
    path = f"/api/v1/agents/{host.id}/telemetry/heartbeat"
    event = {
        "resource": "/api/v1/agents/{agent_id}/telemetry/heartbeat",
        "path": path,
        "httpMethod": "POST",
        "headers": {
            "authorization": f"Bearer {host.key}",
            "content-type": "application/json",
        },
        "multiValueHeaders": {
            "authorization": [f"Bearer {host.key}"],
            "content-type": ["application/json"],
        },
        "multiValueQueryStringParameters": None,
        "pathParameters": {"agent_id": host.id},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/api/v1/agents/{agent_id}/telemetry/heartbeat",
            "httpMethod": "POST",
            "requestId": "r",
            "identity": {"sourceIp": "127.0.0.1"},
            "path": f"/dev{path}",
        },
        "body": json.dumps({"sequence": 1, "nonce": "n" * 20, "instance": host.instance}),
        "isBase64Encoded": False,
    }
    spec = function._spec
    python = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run(
        [python, "-I", "-S", "-c", PROGRAM, str(spec.code_dir), json.dumps(event)],
        cwd=spec.code_dir,
        env=stack.cloud._environ_of(spec),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(result["body"]).get("status") == "online", done.stdout[:3000]
    loaded = set(result["modules"])
    assert UNWANTED & loaded == set()
    assert {"pynamodb.connection.base", "chalicelib.flows.heartbeat"} <= loaded
