"""The systemd unit: its text, and the commands around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import SERVICE
from rollcall_agent.programs import NOT_FOUND, Runner
from rollcall_agent.service.definition_file import write_definition
from rollcall_agent.service.manager import (
    TEMPORARY,
    Definition,
    Standing,
    demand,
    not_installed,
)

UNIT: Final = f"{SERVICE}.service"
STATE_BASE: Final = "/var/lib/"
_FIRST_PRINTABLE: Final = " "
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./@:+=-]+")

_TEXT: Final = """\
# Written by `rollcall-agent service install`, which writes it anew each time: put changes into
# a drop-in (`systemctl edit rollcall-agent`).

[Unit]
Description=Rollcall host agent
Wants=network-online.target
After=network-online.target
# The delay between two starts grows by itself (see below); giving up would lose the host.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
# Leftovers of a start that was killed: the one-file build unpacks itself once for each start.
ExecStartPre=-/usr/bin/find {temporary} -mindepth 1 -maxdepth 1 -name _MEI* -exec rm -rf {{}} +

# 75 is an upgrade: the binary was exchanged and wants to be started.
Restart=always
RestartSec=10
# From systemd 254 on the delay grows to its maximum; before, it stays at RestartSec.
RestartSteps=5
RestartMaxDelaySec=120
SuccessExitStatus=75
RestartForceExitStatus=75
# Usage, a refusal and a revoked key do not get better by themselves.
RestartPreventExitStatus=2 3 6
# The signal is for the first process, which passes it on; what it leaves behind is ended.
KillMode=mixed
TimeoutStopSec=10

# Root by design. The env file with the host's key is root's alone, an upgrade replaces a binary
# that only root may write, and a fleet's jobs (a backup) read every file of the host. What root
# could do beyond that is taken away below: it keeps no capability at all. A fleet whose jobs read
# the files of other users gives one back in a drop-in: CapabilityBoundingSet=CAP_DAC_READ_SEARCH
# and ProtectHome=read-only.
User=root
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
UMask=0077
LimitCORE=0

{folders}
# The one-file build runs from where it unpacks, and /tmp is often mounted noexec.
Environment=TMPDIR={temporary}
# An upgrade asks for the next start by its exit code, and does not start itself.
Environment=ROLLCALL_SUPERVISED=1

ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Not ProtectHostname: a host that is renamed says so with its next facts.
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# Netlink is how the host's interfaces are read.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

# Ten times what it needs to run; the page cache of an upgrade's download counts as well.
MemoryMax=256M
TasksMax=64

[Install]
WantedBy=multi-user.target
"""


def unit(definition: Definition) -> str:
    """Return the unit's text."""
    command = " ".join(_quoted(word) for word in definition.command("run"))
    temporary = _plain(definition.temporary_folder)
    return _TEXT.format(command=command, temporary=temporary, folders=_folders(definition))


def _folders(definition: Definition) -> str:
    """Say which folders there must be, and which the agent may write to."""
    state = _plain(definition.state_folder)
    writable = [_plain(definition.config_folder)]
    if definition.target_folder is not None:
        # Writing keeps a symbolic link, and replaces the file that it leads to.
        writable.append(_plain(definition.target_folder))
    lines: list[str] = []
    if state.startswith(STATE_BASE):
        name = state.removeprefix(STATE_BASE)
        lines += [f"StateDirectory={name} {name}/{TEMPORARY}", "StateDirectoryMode=0700"]
    writable.append(state)
    if definition.upgrades_itself:
        lines.append(
            "# The last of these folders is for upgrades: a new binary takes the old's place."
        )
        writable.append(_plain(str(PurePosixPath(definition.binary).parent)))
    lines.append(f"ReadWritePaths={' '.join(dict.fromkeys(writable))}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Systemd:
    """systemd, by systemctl."""

    file: Path
    programs: Runner

    def install(self, definition: Definition, *, start: bool) -> None:
        """Write the unit, enable it, and start it anew."""
        write_definition(self.file, unit(definition).encode())
        self._systemctl("daemon-reload", doing="reload systemd")
        self._systemctl("enable", UNIT, doing="enable the service")
        if start:
            # Not `start`: a unit that runs already would go on with the old definition.
            self.restart()

    def uninstall(self) -> None:
        """Stop and disable the unit, and remove it."""
        if self.file.exists():
            self._systemctl("disable", "--now", UNIT, doing="stop the service")
            self.file.unlink(missing_ok=True)
            self._systemctl("daemon-reload", doing="reload systemd")

    def standing(self) -> Standing:
        """Ask systemd."""
        if not self.file.exists():
            return Standing.NOT_INSTALLED
        ran = self.programs.run(["systemctl", "is-active", UNIT])
        # "activating" is the wait between two starts: the service is on.
        is_on = ran.output.split()[:1] in (["active"], ["activating"], ["reloading"])
        return Standing.RUNNING if is_on else Standing.STOPPED

    def start(self) -> None:
        """Start the unit, also where it has failed before."""
        self._require_file()
        self.programs.run(["systemctl", "reset-failed", UNIT])
        self._systemctl("start", UNIT, doing="start the service")

    def stop(self) -> None:
        """Stop the unit."""
        self._require_file()
        self._systemctl("stop", UNIT, doing="stop the service")

    def restart(self) -> None:
        """Stop and start the unit; its count of restarts begins anew."""
        self._require_file()
        self.programs.run(["systemctl", "reset-failed", UNIT])
        self._systemctl("restart", UNIT, doing="restart the service")

    def _require_file(self) -> None:
        if not self.file.exists():
            raise not_installed()

    def _systemctl(self, *words: str, doing: str) -> None:
        ran = self.programs.run(["systemctl", *words])
        if ran.code == NOT_FOUND:
            raise AgentError(
                "This host has no systemd. Next: have `rollcall-agent run` started by whatever "
                "starts programs here, as root.",
                ExitCode.USAGE,
            )
        demand(ran, doing)


def _quoted(word: str) -> str:
    """Write one word of a command line so that systemd expands nothing in it."""
    _refuse_control(word)
    if _PLAIN.fullmatch(word):
        return word
    for mark, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(mark, written)
    return f'"{word}"'


def _plain(folder: str) -> str:
    """Take a folder that needs no quoting: the settings of a unit quote in different ways."""
    if _PLAIN.fullmatch(folder) is None:
        raise AgentError(
            f"A service cannot use the folder {folder!r}: its path must hold letters, digits and "
            "_./@:+=- alone.",
            ExitCode.USAGE,
        )
    return folder


def _refuse_control(word: str) -> None:
    if any(letter < _FIRST_PRINTABLE for letter in word):
        raise AgentError("A path of the service holds a control character.", ExitCode.USAGE)
