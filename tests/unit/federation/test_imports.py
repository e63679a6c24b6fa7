"""What speaks to identity providers costs a cold start nothing."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PROGRAM = """
import sys
from chalicelib.api import access, authentication, enrollment, heartbeats, oidc, views
from chalicelib.flows import exchange, heartbeat
from chalicelib import runtime
print("\\n".join(sorted(sys.modules)))
"""
_NOT_FOR_A_HEARTBEAT = (
    "joserfc",
    "chalicelib.federation",
    "chalicelib.credentials.sealed",
    "chalicelib.flows.oidc_configuration",
    "chalicelib.flows.oidc_login",
    "chalicelib.flows.oidc_people",
    "cryptography",
)


def test_a_heartbeat_imports_nothing_of_it() -> None:
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", _PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = done.stdout.split()
    assert "chalicelib.api.oidc" in loaded
    for name in _NOT_FOR_A_HEARTBEAT:
        found = [one for one in loaded if one == name or one.startswith(name + ".")]
        assert found == [], found
