from __future__ import annotations

import pytest
from rollcall_agent.exits import AgentError, ExitCode, RestartRequestedError
from rollcall_agent.programs import Ran
from rollcall_agent.say import Say
from rollcall_agent.service.manager import Definition, Standing
from rollcall_agent.service.windows import DOES_NOT_EXIST, NOT_STARTED, WindowsServices
from rollcall_agent.service.windows_host import Handler, Main
from rollcall_agent.service.windows_life import ServiceLife
from rollcall_agent.service.windows_states import (
    CALL_NOT_IMPLEMENTED,
    NO_ERROR,
    SERVICE_SPECIFIC_ERROR,
    Control,
    Report,
    ServiceStates,
    State,
)
from rollcall_agent.stopping import Stopper

from tests.unit.agent.fakes import FakeClock, Lines
from tests.unit.agent.programs import ScriptedPrograms

PROGRAM = r"C:\Program Files\Rollcall\rollcall-agent.exe"
HOST = Definition(
    binary=PROGRAM,
    config=None,
    config_folder=r"C:\ProgramData\Rollcall",
    state_folder=r"C:\ProgramData\Rollcall\state",
)


class FakeServices(ScriptedPrograms):
    """A service control manager; words of its output are translated, their order is not."""

    def __init__(self, state: int | None = None) -> None:
        super().__init__({"sc.exe": self._sc})
        self.state = state

    def _sc(self, command: list[str]) -> Ran:
        verb = command[1]
        if verb == "create":
            self.state = 1
        elif self.state is None:
            return Ran(DOES_NOT_EXIST, "FAILED 1060")
        elif verb == "start":
            self.state = 4
        elif verb == "stop":
            if self.state == 1:
                return Ran(NOT_STARTED, "FAILED 1062")
            self.state = 1
        elif verb == "delete":
            self.state = None
        elif verb == "query":
            return Ran(0, query(self.state))
        return Ran(0, "")

    @property
    def verbs(self) -> list[str]:
        return [command[1] for command in self.commands if command[1] != "query"]

    def words(self, verb: str) -> list[str]:
        (found,) = [command for command in self.commands if command[1] == verb]
        return found[2:]


def query(state: int) -> str:
    return (
        "\r\nNOM_SERVICE: rollcall-agent\r\n"
        "        TYPE               : 10  WIN32_OWN_PROCESS\r\n"
        f"        ÉTAT               : {state}  QUELQUE_CHOSE\r\n"
        "                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)\r\n"
        "        CODE               : 0  (0x0)\r\n"
    )


def test_the_program_is_registered_in_quotes_with_its_recovery() -> None:
    programs = FakeServices()
    WindowsServices(programs, FakeClock()).install(HOST, start=True)
    assert programs.verbs == ["create", "description", "failure", "failureflag", "stop", "start"]
    assert programs.words("create") == [
        *("rollcall-agent", "binPath=", f'"{PROGRAM}" service run', "start=", "delayed-auto"),
        *("obj=", "LocalSystem", "DisplayName=", "Rollcall host agent"),
    ]
    assert programs.words("failure")[1:] == [
        *("reset=", "86400", "actions="),
        "restart/10000/restart/30000/restart/120000",
    ]
    assert programs.words("failureflag") == ["rollcall-agent", "1"]
    assert programs.state == 4


def test_a_program_without_blanks_is_quoted_as_well() -> None:
    programs = FakeServices()
    plain = Definition(r"D:\r\agent.exe", r"D:\e\agent.env", r"D:\e", r"D:\s")
    WindowsServices(programs, FakeClock()).install(plain, start=False)
    assert programs.words("create")[2] == (r'"D:\r\agent.exe" service run --config D:\e\agent.env')


def test_a_registration_that_is_there_is_corrected() -> None:
    programs = FakeServices(state=4)
    WindowsServices(programs, FakeClock()).install(HOST, start=True)
    assert programs.verbs[0] == "config"
    assert "create" not in programs.verbs


def test_its_standing_is_read_in_any_language() -> None:
    found = [
        WindowsServices(FakeServices(state), FakeClock()).standing() for state in (None, 1, 2, 4)
    ]
    assert found == [
        Standing.NOT_INSTALLED,
        Standing.STOPPED,
        Standing.RUNNING,
        Standing.RUNNING,
    ]


def test_uninstalling_stops_and_deletes_and_is_safe_to_repeat() -> None:
    programs = FakeServices(state=4)
    services = WindowsServices(programs, FakeClock())
    services.uninstall()
    services.uninstall()
    assert programs.verbs == ["stop", "delete"]


def test_whoever_is_no_administrator_is_told_so() -> None:
    denied = ScriptedPrograms({"sc.exe query": Ran(0, query(1)), "sc.exe": Ran(5, "denied")})
    with pytest.raises(AgentError, match="administrator"):
        WindowsServices(denied, FakeClock()).start()


def test_a_service_that_does_not_stop_is_given_up() -> None:
    stuck = ScriptedPrograms({"sc.exe query": Ran(0, query(3))})
    clock = FakeClock()
    with pytest.raises(AgentError, match="does not stop"):
        WindowsServices(stuck, clock).stop()
    assert sum(clock.sleeps) == pytest.approx(30)


def test_a_stop_is_accepted_once_the_agent_runs() -> None:
    states = ServiceStates()
    assert states.report.state is State.START_PENDING
    assert states.report.accepted == 0
    assert states.started() == Report(State.RUNNING, accepted=5)


@pytest.mark.parametrize("control", [Control.STOP, Control.SHUTDOWN])
def test_a_stop_is_answered_at_once_and_ends_the_agent(control: Control) -> None:
    states = ServiceStates()
    states.started()
    reaction = states.told(control)
    assert (reaction.answer, reaction.stop) == (NO_ERROR, True)
    assert reaction.report is not None
    assert reaction.report.state is State.STOP_PENDING
    assert reaction.report.hint > 0


def test_a_question_is_answered_with_what_holds_and_what_is_unknown_is_refused() -> None:
    states = ServiceStates()
    states.started()
    assert states.told(Control.INTERROGATE).report == Report(State.RUNNING, accepted=5)
    unknown = states.told(0x80)
    assert (unknown.answer, unknown.report, unknown.stop) == (CALL_NOT_IMPLEMENTED, None, False)


@pytest.mark.parametrize("code", [0, 2, 3, 6])
def test_an_end_that_another_start_would_not_change_is_no_error_to_windows(code: int) -> None:
    assert ServiceStates().ended(code) == Report(State.STOPPED)


@pytest.mark.parametrize("code", [1, 4, 5, 7, 8, 75])
def test_every_other_end_lets_windows_start_the_service_again(code: int) -> None:
    assert ServiceStates().ended(code) == Report(
        State.STOPPED, error=SERVICE_SPECIFIC_ERROR, specific=code
    )


def test_after_the_end_a_late_stop_changes_nothing() -> None:
    states = ServiceStates()
    states.ended(0)
    reaction = states.told(Control.STOP)
    assert (reaction.report, reaction.stop) == (None, False)


class FakeWindows:
    """Calls the service's main function at once, and lets a test tell it to stop."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.handler: Handler = lambda _control: NO_ERROR

    def dispatch(self, name: str, main: Main) -> None:
        assert name == "rollcall-agent"
        main()

    def register(self, name: str, handler: Handler) -> None:
        assert name == "rollcall-agent"
        self.handler = handler

    def report(self, report: Report) -> None:
        self.reports.append(report)


def test_one_life_from_start_to_a_stop_by_windows() -> None:
    windows, lines = FakeWindows(), Lines()

    def work(stopper: Stopper, say: Say) -> None:
        say.note("beating")
        windows.handler(Control.STOP)
        stopper.sleep(3600)

    ServiceLife(windows, work, lines).run()
    assert [report.state for report in windows.reports] == [
        State.START_PENDING,
        State.RUNNING,
        State.STOP_PENDING,
        State.STOPPED,
    ]
    assert windows.reports[-1].error == NO_ERROR
    assert lines.notes == ["beating", "Stopped, as asked."]


@pytest.mark.parametrize(
    ("error", "specific"),
    [
        (AgentError("The key was revoked.", ExitCode.IDENTITY_ENDED), 0),
        (AgentError("No answer.", ExitCode.UNREACHABLE), 4),
        (RestartRequestedError("Upgrading."), 75),
        (ValueError("a defect"), 1),
    ],
)
def test_however_the_agent_ends_windows_is_told_and_the_log_says_why(
    error: Exception, specific: int
) -> None:
    windows, lines = FakeWindows(), Lines()

    def work(_stopper: Stopper, _say: Say) -> None:
        raise error

    ServiceLife(windows, work, lines).run()
    assert windows.reports[-1].state is State.STOPPED
    assert windows.reports[-1].specific == specific
    assert any(str(error) in line for line in lines.notes)
