"""What the configuration says about the agent's own upgrades."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import state_folder_of
from rollcall_agent.settings import Settings

STATE_FOLDER: Final = "ROLLCALL_STATE_FOLDER"
RELEASE_KEY: Final = "ROLLCALL_RELEASE_KEY_SHA256"
SELF_UPGRADE: Final = "ROLLCALL_SELF_UPGRADE"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def state_folder(settings: Settings) -> Path:
    """Return the folder for what the agent remembers from one version to the next."""
    named = settings.value(STATE_FOLDER)
    return Path(named) if named else state_folder_of(settings.path)


def upgrades_itself(settings: Settings) -> bool:
    """Tell whether the agent may replace its own binary; it may unless it is told not to."""
    return settings.switch(SELF_UPGRADE, default=True)


def release_key(settings: Settings) -> str | None:
    """Return the pinned fingerprint of the release key, or None where none is pinned."""
    named = settings.value(RELEASE_KEY)
    if not named:
        return None
    pin = named.strip().lower()
    if _FINGERPRINT.fullmatch(pin) is None:
        raise AgentError(
            f"{RELEASE_KEY} is not a SHA-256 in 64 hexadecimal digits.", ExitCode.USAGE
        )
    return pin
