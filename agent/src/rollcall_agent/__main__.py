"""Run the agent as ``python -m rollcall_agent``, and as the one-file build."""

import sys

from rollcall_agent.exits import ExitCode

if __name__ == "__main__":
    try:
        from rollcall_agent.cli import main
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    main()
