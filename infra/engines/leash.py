"""Runs a program for as long as somebody holds the other end of our standard input.

An engine must not outlive its parent, also when that is killed and can clean nothing up: the
pipe is closed by the kernel then, and the engine ends here. SIGKILL, because its data is
temporary, and SeaweedFS takes half a minute for a polite goodbye.
"""

import os
import signal
import subprocess
import sys
import threading


def main(argv: list[str]) -> int:
    """Run the program; its exit code is ours."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe says when it is over
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
