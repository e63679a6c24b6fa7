# ruff: noqa: INP001 - a script of the builder's, part of no package
"""Runs first in the binary that `make agent` builds: on Linux, end with who unpacked it.

A one-file binary is two processes: one unpacks and waits, the other is the agent. Who kills the
first with SIGKILL, which it can hand on to nobody, means the agent. If that went on, the next start
would be a second copy of the same identity.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    _starter = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != _starter:
        # It ended before it could be told.
        os.kill(os.getpid(), signal.SIGKILL)
