"""Starting again as another version: by the service manager, or by oneself where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rollcall_client.switches import NoSwitchError, read_switch

from rollcall_agent.own_upgrade import own_binary
from rollcall_agent.programs import clean_environment

SUPERVISED: Final = "ROLLCALL_SUPERVISED"
"""Set by the service's definition: whoever runs the agent starts it again."""

Execute = Callable[[str, list[str], dict[str, str]], object]


def start_again(
    environment: Mapping[str, str],
    arguments: Sequence[str],
    *,
    binary: Path | None = None,
    execute: Execute = os.execve,
) -> None:
    """Become the program that now lies where this one was started from.

    It returns where that is somebody else's to do, and the exit code then asks for it. An agent
    that a person or a container started would otherwise stay ended after its first upgrade.

    Args:
        environment: of this process.
        arguments: those it was started with, without its own name.
        binary: the one-file build; by default the one that this process runs from.
        execute: takes this process's place.
    """
    binary = binary or own_binary()
    if binary is None or _is_supervised(environment) or sys.platform == "win32":
        return
    execute(str(binary), [str(binary), *arguments], clean_environment(environment))


def _is_supervised(environment: Mapping[str, str]) -> bool:
    try:
        return read_switch(SUPERVISED, environment.get(SUPERVISED), default=False)
    except NoSwitchError:
        # The settings were loaded, and refused it, before there was a version to change to.
        return False
