"""The first code of a worker process: it sees the package and the Lambda runtime, nothing else.

It runs under ``python -I -S``, so no site-packages, no user directory and no PYTHON* variable
reaches the function, and a dependency that the package lacks is missing here as it is on Lambda.
"""

import os
import sys
import threading


def main() -> None:
    """Prepare the path, tie the process to its parent, run AWS's runtime client."""
    runtime_dir = sys.argv[1]
    task_root = os.environ["LAMBDA_TASK_ROOT"]
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # A daemon thread, because a handler that loops for ever would never notice a dead parent.
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    sys.path[:0] = [task_root, runtime_dir]
    sys.argv = ["bootstrap", os.environ["_HANDLER"]]
    from awslambdaric.__main__ import main as run_client  # noqa: PLC0415 - the path is set above

    run_client(sys.argv)


def _die_with_parent(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
