"""Runs the application as Lambda would: a bare interpreter, the package, and its settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SETTINGS = {
    "ROLLCALL_STAGE": "bare",
    "ROLLCALL_TABLE_PREFIX": "rollcall-bare-",
    "ROLLCALL_BUCKET": "the-bucket",
    "ROLLCALL_EVENT_BUS": "the-bus",
    "ROLLCALL_DEAD_LETTER_QUEUE_URL": "https://queue.example/the-queue",
    "ROLLCALL_SIGNING_SECRET_ARN": "arn:the-secret",
    "ROLLCALL_AUDIT_STREAM_ARN": "arn:aws:dynamodb:x:1:table/audit/stream/1",
    "ROLLCALL_JOBS_STREAM_ARN": "arn:aws:dynamodb:x:1:table/jobs/stream/1",
    "ROLLCALL_SIGNING_KEY_ARN": "arn:the-key",
    "ROLLCALL_EVIDENCE_BUCKET": "the-evidence",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "rollcall-bare-api_handler",  # as Lambda sets it
    "PATH": "/usr/bin:/bin",
}
_PROGRAM = """
import json, socket, sys
def refuse(*_): raise AssertionError("the import opens a connection")
socket.socket.connect = socket.create_connection = refuse
sys.path.insert(0, sys.argv[1])
import app
seen = {}
exec(sys.argv[2], {"app": app, "seen": seen, "sys": sys})
print(json.dumps(seen))
"""


def run(package: Path, program: str) -> dict[str, Any]:
    """Import `app` from an unpacked package, alone, and return what the program has seen."""
    done = run_raw(package, program)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def run_raw(package: Path, program: str, *, without: str = "") -> subprocess.CompletedProcess[str]:
    """The same, whether it works or not; `without` names a setting to leave out."""
    python = getattr(sys, "_base_executable", sys.executable)
    return subprocess.run(  # noqa: S603 - our own interpreter and program
        [python, "-I", "-S", "-B", "-c", _PROGRAM, str(package), program],
        cwd=package,
        env={name: value for name, value in SETTINGS.items() if name != without},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
