"""The process that unpacks a one-file binary and the agent itself end together."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[3] / "agent" / "frozen" / "end_with_starter.py"
AGENT = """
import os, runpy, sys, time
if sys.argv[1]:
    runpy.run_path(sys.argv[1])
os.write(int(sys.argv[2]), b"ready")
while True:
    time.sleep(60)
"""
STARTER = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], close_fds=False)
"""
SOON = 20.0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_killing_the_starter_ends_the_agent() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    arguments = [sys.executable, "-c", STARTER, AGENT, str(HOOK), str(writer)]
    starter = subprocess.Popen(  # noqa: S603
        arguments, close_fds=False, start_new_session=True
    )
    try:
        os.close(writer)
        assert select.select([reader], [], [], SOON)[0]
        assert os.read(reader, 5) == b"ready"
        starter.send_signal(signal.SIGKILL)
        # The end of the file is there when nobody holds the other end any more.
        assert select.select([reader], [], [], SOON)[0], "the agent goes on without its starter"
        assert os.read(reader, 5) == b""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(starter.pid, signal.SIGKILL)
        starter.wait()
        os.close(reader)
