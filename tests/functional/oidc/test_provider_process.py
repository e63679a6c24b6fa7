"""The provider does not outlive the tests, however they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.functional.oidc.provider import ROOT

_PROGRAM = """
import sys, time
from pathlib import Path
from tests.functional.oidc import certificates, provider
made = certificates.make(Path(sys.argv[1]), "localhost")
with provider.running(made) as idp:
    print(idp._process.pid, flush=True)
    time.sleep(60)
"""


def test_the_provider_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        try:
            assert parent.stdout
            provider = int(parent.stdout.readline())
            assert _runs(provider)
        finally:
            parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(provider):
        assert time.monotonic() < deadline, "the provider is still there"
        time.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
