"""The agent's loop as launchd and Windows start it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rollcall_agent.commands.run import run_agent
from rollcall_agent.programs import Programs
from rollcall_agent.say import Say, Terminal
from rollcall_agent.service.endings import exit_code_of
from rollcall_agent.service.launchd import leave_for_good
from rollcall_agent.settings import Settings
from rollcall_agent.stopping import Stopper
from rollcall_agent.upgrade_settings import state_folder


def run_for_manager(config: Path | None, platform: str) -> int:
    """Run until the end; where another start would not help, see to it that there is none."""

    def work(stopper: Stopper, say: Say) -> None:
        run_agent(config, None, stopper, say, once=False, verbose=False)

    if platform == "win32":
        from rollcall_agent.service.log_file import LogFile  # noqa: PLC0415
        from rollcall_agent.service.windows_host import Advapi32  # noqa: PLC0415
        from rollcall_agent.service.windows_life import ServiceLife  # noqa: PLC0415

        folder = state_folder(Settings.load_what_can_be(config, os.environ))
        ServiceLife(Advapi32(), work, LogFile(folder / "agent.log", time.time)).run()
        return 0
    stopper = Stopper()
    with stopper.listening():
        code = exit_code_of(work, stopper, Terminal())
    if platform == "darwin":
        leave_for_good(code, Programs.of_this_host())
    return code
