"""Where the agent's things are, by operating system.

macOS has the same places as Linux: one install script and one set of documents for both, and no
blank in any path.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import Final

SERVICE: Final = "rollcall-agent"


@dataclass(frozen=True)
class Places:
    """The default places of one operating system.

    Attributes:
        config: The env file.
        state: The folder for what the agent remembers; nothing in it is a secret.
        binary: Where an installer puts the one-file build.
        definition: What the host's service manager reads; None where it keeps that to itself.
    """

    config: PurePath
    state: PurePath
    binary: PurePath
    definition: PurePath | None


def places(platform: str, environment: Mapping[str, str]) -> Places:
    """Return the places of an operating system, by what ``sys.platform`` calls it."""
    if platform == "win32":
        data = PureWindowsPath(environment.get("ProgramData") or r"C:\ProgramData") / "Rollcall"
        programs = PureWindowsPath(environment.get("ProgramFiles") or r"C:\Program Files")
        binary = programs / "Rollcall" / "rollcall-agent.exe"
        return Places(data / "agent.env", data / "state", binary, None)
    unit = (
        Path("/Library/LaunchDaemons/rollcall-agent.plist")
        if platform == "darwin"
        else Path("/etc/systemd/system/rollcall-agent.service")
    )
    return Places(
        config=Path("/etc/rollcall/agent.env"),
        state=Path("/var/lib/rollcall"),
        binary=Path("/usr/local/bin/rollcall-agent"),
        definition=unit,
    )


HERE: Final = places(sys.platform, os.environ)


def state_folder_of(config: Path, own: Places = HERE) -> Path:
    """Return the state folder that belongs to an env file.

    An env file at another place than the default one belongs to another installation, which must
    not share its memory with this host's own: one below a prefix has its state below that prefix.
    """
    default = Path(own.config)
    if config == default:
        return Path(own.state)
    below = default.relative_to(default.anchor).parts
    if config.parts[-len(below) :] == below:
        return config.parents[len(below) - 1] / Path(own.state).relative_to(own.state.anchor)
    return config.parent / "state"
