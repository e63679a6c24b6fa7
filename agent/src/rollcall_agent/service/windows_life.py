"""One life of the Windows service, from the dispatcher's call to the last report."""

from __future__ import annotations

import threading

from rollcall_agent.places import SERVICE
from rollcall_agent.say import Say
from rollcall_agent.service.endings import Work, exit_code_of
from rollcall_agent.service.windows_host import ServiceControl
from rollcall_agent.service.windows_states import ServiceStates
from rollcall_agent.stopping import Stopper


class ServiceLife:
    """Runs the agent between Windows' start and stop."""

    def __init__(self, control: ServiceControl, work: Work, say: Say) -> None:
        self._control = control
        self._work = work
        self._say = say
        self._states = ServiceStates()
        self._stopper = Stopper()
        # Controls come in another thread than the one that the agent works in.
        self._one_at_a_time = threading.Lock()

    def run(self) -> None:
        """Enter the dispatcher; return when the service has stopped."""
        self._control.dispatch(SERVICE, self._main)

    def _main(self) -> None:
        self._control.register(SERVICE, self._told)
        with self._one_at_a_time:
            self._control.report(self._states.report)
            self._control.report(self._states.started())
        code = exit_code_of(self._work, self._stopper, self._say)
        with self._one_at_a_time:
            self._control.report(self._states.ended(code))

    def _told(self, control: int) -> int:
        with self._one_at_a_time:
            reaction = self._states.told(control)
            if reaction.report is not None:
                self._control.report(reaction.report)
        if reaction.stop:
            self._stopper.stop()
        return reaction.answer
