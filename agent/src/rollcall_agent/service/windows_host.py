"""The process of the Windows service: a thin shell around ``ServiceStates``.

Windows calls the service's main function in a thread of its own, and the handler of controls in
the thread that entered the dispatcher. Signals play no part.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import wintypes
from typing import Any, Final, Protocol

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.service.windows_states import Report

WIN32_OWN_PROCESS: Final = 0x10
NOT_STARTED_BY_THE_MANAGER: Final = 1063

Main = Callable[[], None]
Handler = Callable[[int], int]


class ServiceControl(Protocol):
    """What Windows offers to a service's process."""

    def dispatch(self, name: str, main: Main) -> None:
        """Have ``main`` called, and return when the service has stopped."""

    def register(self, name: str, handler: Handler) -> None:
        """Have the handler told what Windows wants; called from within ``main``."""

    def report(self, report: Report) -> None:
        """Tell Windows how the service stands."""


class _Status(ctypes.Structure):
    """SERVICE_STATUS."""

    _fields_ = (
        ("dwServiceType", wintypes.DWORD),
        ("dwCurrentState", wintypes.DWORD),
        ("dwControlsAccepted", wintypes.DWORD),
        ("dwWin32ExitCode", wintypes.DWORD),
        ("dwServiceSpecificExitCode", wintypes.DWORD),
        ("dwCheckPoint", wintypes.DWORD),
        ("dwWaitHint", wintypes.DWORD),
    )


class Advapi32:
    """ServiceControl for real, through advapi32.dll."""

    def __init__(self) -> None:
        # By name, because other systems have neither for a type checker to look into.
        on_windows: dict[str, Any] = vars(ctypes)
        self._library = on_windows["WinDLL"]("advapi32", use_last_error=True)
        self._last_error: Callable[[], int] = on_windows["get_last_error"]
        self._main_type = on_windows["WINFUNCTYPE"](
            None, wintypes.DWORD, ctypes.POINTER(wintypes.LPWSTR)
        )
        self._handler_type = on_windows["WINFUNCTYPE"](
            wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.LPVOID
        )
        self._library.RegisterServiceCtrlHandlerExW.restype = wintypes.HANDLE
        self._library.RegisterServiceCtrlHandlerExW.argtypes = (
            wintypes.LPCWSTR,
            self._handler_type,
            wintypes.LPVOID,
        )
        self._library.SetServiceStatus.argtypes = (wintypes.HANDLE, ctypes.POINTER(_Status))
        self._handle: Any = None
        # Windows keeps addresses of these; Python must not collect what is behind them.
        self._kept: list[Any] = []

    def dispatch(self, name: str, main: Main) -> None:
        """Enter the dispatcher."""

        class Entry(ctypes.Structure):
            """SERVICE_TABLE_ENTRYW."""

            _fields_ = (("lpServiceName", wintypes.LPWSTR), ("lpServiceProc", self._main_type))

        called = self._main_type(lambda _count, _words: main())
        table = (Entry * 2)(Entry(name, called), Entry(None, self._main_type()))
        self._kept += [called, table]
        if not self._library.StartServiceCtrlDispatcherW(table):
            raise _refused(self._last_error())

    def register(self, name: str, handler: Handler) -> None:
        """Register the handler of controls."""
        called = self._handler_type(lambda control, _type, _data, _context: handler(control))
        self._kept.append(called)
        self._handle = self._library.RegisterServiceCtrlHandlerExW(name, called, None)
        if not self._handle:
            raise _refused(self._last_error())

    def report(self, report: Report) -> None:
        """Call SetServiceStatus; what cannot be reported cannot be helped either."""
        status = _Status(
            WIN32_OWN_PROCESS,
            int(report.state),
            report.accepted,
            report.error,
            report.specific,
            report.checkpoint,
            report.hint,
        )
        self._library.SetServiceStatus(self._handle, ctypes.byref(status))


def _refused(error: int) -> AgentError:
    if error == NOT_STARTED_BY_THE_MANAGER:
        return AgentError(
            "`service run` is for Windows to start. Next: rollcall-agent service start, or "
            "rollcall-agent run in a console.",
            ExitCode.USAGE,
        )
    return AgentError(f"Windows refused the service (error {error}).", ExitCode.UNREACHABLE)
