"""Which ends of the agent a service manager should answer with another start."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode, RestartRequestedError
from rollcall_agent.say import Say, one_line
from rollcall_agent.stopping import Stopper, StopRequestedError

# The same codes as in the systemd unit: what does not get better by itself.
FINAL: Final = frozenset({ExitCode.OK, ExitCode.USAGE, ExitCode.REFUSED, ExitCode.IDENTITY_ENDED})
DEFECT: Final = 1

Work = Callable[[Stopper, Say], None]


def is_final(code: int) -> bool:
    """Tell whether the agent ended for good, until a person does something."""
    return code in FINAL


def exit_code_of(work: Work, stopper: Stopper, say: Say) -> int:
    """Run the agent's loop to its end and return the documented exit code."""
    try:
        work(stopper, say)
    except StopRequestedError:
        say.note("Stopped, as asked.")
    except RestartRequestedError as restart:
        say.note(restart.line)
        return int(ExitCode.RESTART)
    except AgentError as error:
        say.note(f"error: {one_line(error.line)}")
        return int(error.exit_code)
    except Exception:  # noqa: BLE001 - a service has nobody to show a traceback to but its log
        for line in traceback.format_exc().splitlines():
            say.note(line)
        return DEFECT
    return int(ExitCode.OK)
