"""Every setting that has a meaning on a host: of the agent, of the installers, of the command line.

A name that begins with ``ROLLCALL_`` and is none of these is most likely mistyped.
"""

from __future__ import annotations

from typing import Final

from rollcall_agent import names

PREFIX: Final = "ROLLCALL_"
OF_AGENT: Final = frozenset(
    {
        "ROLLCALL_ADMIN_USER",
        "ROLLCALL_AGENT_API_KEY",
        "ROLLCALL_AGENT_ID",
        "ROLLCALL_AGENT_PREVIOUS_API_KEY",
        "ROLLCALL_ALLOW_HTTP",
        "ROLLCALL_API_BASE_URL",
        "ROLLCALL_CA_BUNDLE",
        "ROLLCALL_CONFIG",
        "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY",
        "ROLLCALL_ENROLLMENT_TOKEN_SHA256",
        "ROLLCALL_FORMER_AGENT_API_KEY",
        "ROLLCALL_FORMER_AGENT_ID",
        "ROLLCALL_FORMER_AGENT_PREVIOUS_API_KEY",
        "ROLLCALL_FORMER_API_BASE_URL",
        "ROLLCALL_FORMER_LEAVES_NAME",
        "ROLLCALL_FORMER_WAS_TOLD",
        "ROLLCALL_RELEASE_KEY_SHA256",
        "ROLLCALL_SELF_UPGRADE",
        "ROLLCALL_SPLIT_AGENT_ID",
        "ROLLCALL_SPLIT_IDEMPOTENCY_KEY",
        "ROLLCALL_SPLIT_INSTANCE",
        "ROLLCALL_SSH_PORT",
        "ROLLCALL_STATE_FILE",
        "ROLLCALL_STATE_FOLDER",
        "ROLLCALL_SUPERVISED",
        "ROLLCALL_TOKEN",
    }
)
OF_INSTALLERS: Final = frozenset(
    {
        "ROLLCALL_AGENT_VERSION",
        "ROLLCALL_FORCE_REENROLL",
        "ROLLCALL_NO_SERVICE",
        "ROLLCALL_PREFIX",
        "ROLLCALL_SHOW_SCHEDULES",
        "ROLLCALL_TOKEN_FILE",
        "ROLLCALL_UNINSTALL",
        "ROLLCALL_URL",
        "ROLLCALL_WAIT_SECONDS",
    }
)
OF_COMMAND_LINE: Final = frozenset({"ROLLCALL_CREDENTIAL"})
KNOWN: Final = OF_AGENT | OF_INSTALLERS | OF_COMMAND_LINE
SWITCHES: Final = (
    "RM_FORCE_REENROLL",
    "ROLLCALL_ALLOW_HTTP",
    "ROLLCALL_FORCE_REENROLL",
    "ROLLCALL_NO_SERVICE",
    "ROLLCALL_SELF_UPGRADE",
    "ROLLCALL_SUPERVISED",
    "ROLLCALL_UNINSTALL",
)
"""Settings that are on or off."""

# The container's names for what is mounted from the host: our own, without our prefix.
_OF_HOST: Final = frozenset({"HOST_HOSTNAME_FILE", "HOST_OS_RELEASE_FILE"})
# Names of other systems that agent or installers read as well. Other names that begin like these
# belong to those systems.
_OF_OTHERS: Final = frozenset(
    {
        *names.URLS,
        *names.TOKENS,
        *names.AGENT_IDS,
        *names.AGENT_KEYS,
        "RM_FORCE_REENROLL",
        "SENSOR_PORT",
    }
)
# Of 1: close enough that it is worth a guess.
_SIMILAR: Final = 0.75


def is_ours(name: str) -> bool:
    """Tell whether a name is read here, or was meant to be."""
    return name.startswith(PREFIX) or name in _OF_HOST | _OF_OTHERS


def is_unknown(name: str) -> bool:
    """Tell whether a name looks like one of ours and is none."""
    if name in KNOWN | _OF_HOST | _OF_OTHERS:
        return False
    upper = name.upper()
    return upper.startswith(PREFIX) or upper in KNOWN or bool(_closest(upper, 0.9))


def nearest(name: str) -> str | None:
    """Return the known name that a name comes close to, or None."""
    found = _closest(name.upper(), _SIMILAR)
    return found[0] if found else None


def _closest(name: str, cutoff: float) -> list[str]:
    # Imported here: a process that runs for years needs it once or never.
    import difflib  # noqa: PLC0415

    return difflib.get_close_matches(name, sorted(KNOWN | _OF_HOST), n=1, cutoff=cutoff)
