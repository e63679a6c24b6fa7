"""The console script, and `python -m rollcall_cli`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Ctrl-C is no defect while it is still being loaded, either."""
    try:
        from rollcall_cli.app import main as run  # noqa: PLC0415 - what takes the time

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
