"""`rollcall-agent doctor` as an operator runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.agent_doctor.authority import Authority
from tests.e2e.agent_doctor.servers import control_plane, proxy

SECRET = "rce_doctor_0123456789"


def doctor(
    tmp_path: Path, *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ROLLCALL_", "SSL_")) and not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        [sys.executable, "-m", "rollcall_agent", "doctor", *arguments],
        env={**kept, "ROLLCALL_CONFIG": str(tmp_path / "etc" / "agent.env"), **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def by_name(ran: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ran.stdout)["checks"]}


def test_a_sound_host_behind_a_proxy_and_a_private_ca_passes_and_leaves_no_trace(
    tmp_path: Path,
) -> None:
    authority = Authority.create(tmp_path / "ca")
    with (
        control_plane(authority.server("cp.example")) as (port, seen),
        proxy(port) as proxy_port,
    ):
        ran = doctor(
            tmp_path, "--json", "--token-stdin", "--url", f"https://cp.example:{port}/prod",
            stdin=SECRET,
            ROLLCALL_CA_BUNDLE=str(authority.bundle),
            HTTPS_PROXY=f"http://127.0.0.1:{proxy_port}",
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = by_name(ran)
    assert [
        found[name]["outcome"] for name in ("proxy", "tls", "reachability", "clock", "token")
    ] == ["ok"] * 5
    assert found["dns"]["outcome"] == "skipped"
    assert SECRET not in ran.stdout + ran.stderr
    assert [(method, path) for method, path, _ in seen.requests] == [
        ("GET", "/prod/healthz"),
        ("POST", "/prod/api/v1/agent-enrollment/check"),
    ]
    # The token is shown to the one route that does not spend it, and to nothing else.
    assert ["Authorization" in headers for _, _, headers in seen.requests] == [False, True]
    assert not (tmp_path / "etc").exists()


def test_a_host_that_does_not_know_the_ca_fails_with_the_documented_code(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "Corp Root")
    with control_plane(authority.server("localhost")) as (port, seen):
        ran = doctor(tmp_path, "--url", f"https://localhost:{port}/prod", ROLLCALL_TOKEN=SECRET)
    assert ran.returncode == 9, ran.stdout + ran.stderr
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("failed")]
    assert "Corp Root" in line
    assert "ROLLCALL_CA_BUNDLE" in line
    assert seen.requests == []
