"""From the host's configuration to the service's definition."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import HERE, SERVICE, Places
from rollcall_agent.private_files import make_parents
from rollcall_agent.service.definition_file import write_definition
from rollcall_agent.service.manager import Definition
from rollcall_agent.settings import DEFAULT_CONFIG, Settings
from rollcall_agent.upgrade_settings import state_folder, upgrades_itself


def define(settings: Settings, binary: Path | None, own: Places = HERE) -> Definition:
    """Describe the service of this host."""
    config = settings.path.absolute()
    target = Path(os.path.realpath(config)).parent
    return Definition(
        binary=str(_program(binary, own)),
        config=None if config == DEFAULT_CONFIG else str(config),
        config_folder=str(config.parent),
        state_folder=str(state_folder(settings).absolute()),
        upgrades_itself=upgrades_itself(settings),
        target_folder=None if target == config.parent else str(target),
    )


def prepare(definition: Definition) -> None:
    """Make the folders that the service works in, for root alone."""
    if not Path(definition.binary).is_file():
        raise AgentError(
            f"There is no program {definition.binary}. Next: name it with --binary.",
            ExitCode.USAGE,
        )
    try:
        make_parents(Path(definition.config_folder) / "agent.env")
        make_parents(Path(definition.temporary_folder) / "unpacked")
    except OSError as error:
        raise AgentError(
            f"Cannot make the service's folders ({error.strerror}). Next: run this with sudo.",
            ExitCode.USAGE,
        ) from error


def write_below(root: Path, definition: Definition, platform: str, own: Places) -> Path:
    """Write the service's definition into an image, and do nothing else."""
    path = _below(root, own)
    if platform == "darwin":
        from rollcall_agent.service.launchd import property_list  # noqa: PLC0415

        write_definition(path, property_list(definition))
    else:
        from rollcall_agent.service.systemd import unit  # noqa: PLC0415

        write_definition(path, unit(definition).encode())
    return path


def remove_below(root: Path, own: Places) -> None:
    """Remove the service's definition from an image."""
    _below(root, own).unlink(missing_ok=True)


def _below(root: Path, own: Places) -> Path:
    if own.definition is None:
        raise AgentError("Windows keeps its services itself: there is no --root.", ExitCode.USAGE)
    return root / own.definition.relative_to(own.definition.anchor)


def _program(binary: Path | None, own: Places) -> Path:
    """Find the program that the service starts: never a relative path, which root would look up."""
    if binary is not None:
        return binary.absolute()
    if getattr(sys, "frozen", False):
        return Path(os.path.realpath(sys.executable))
    found = shutil.which(SERVICE)
    return Path(found) if found else Path(own.binary)
