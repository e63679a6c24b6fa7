"""The command ``upgrade``: what the environment asks for by itself, for a person."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rollcall_agent import __version__
from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.options import Config, Url
from rollcall_agent.commands.outcome import telling
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.settings import Settings

if TYPE_CHECKING:
    from rollcall_agent.own_upgrade import LateStaging


def upgrade(
    *,
    version: Annotated[
        str | None, typer.Option(help="Default: the newest that is published.")
    ] = None,
    config: Config = None,
    url: Url = None,
) -> None:
    """Replace this program by another release, and restart the service."""
    with telling() as say:
        settings = Settings.load(config, os.environ)
        settings.base_url(url)  # refused before anything is looked at
        stage = _staging(settings, url)
        # Looked at before the exchange: afterwards the one-file build's own file, from which it
        # loads its modules, is another one.
        from rollcall_agent.service.manager import Standing, manager_of_this_host  # noqa: PLC0415

        manager = manager_of_this_host()
        is_running = manager.standing() is Standing.RUNNING
        wanted = _exchange(stage, version, settings)
        if wanted is None:
            say.result(f"This is {__version__} already; nothing to do.")
            return
        say.result(f"Upgraded from {__version__} to {wanted}.")
        if is_running:
            manager.restart()
            say.note("The service was restarted.")


def _staging(settings: Settings, url: str | None) -> LateStaging:
    from rollcall_agent.binary_files import binaries_of  # noqa: PLC0415
    from rollcall_agent.own_upgrade import LateStaging, own_binary  # noqa: PLC0415
    from rollcall_agent.upgrade_settings import RELEASE_KEY, release_key  # noqa: PLC0415

    binary, pin = own_binary(), release_key(settings)
    if binary is None:
        raise AgentError(
            "This is not the one-file build. Next: upgrade it the way it was installed.",
            ExitCode.USAGE,
        )
    if pin is None:
        raise AgentError(
            f"No release key is pinned. Next: write {RELEASE_KEY}=<fingerprint> into "
            f"{settings.path}; the mint shows the fingerprint.",
            ExitCode.USAGE,
        )
    files = binaries_of(sys.platform, binary)
    return LateStaging(settings, url, files, SystemClock(), pin)


def _exchange(late: LateStaging, version: str | None, settings: Settings) -> str | None:
    """Stage and exchange; return the version that is in place, or None where it was already."""
    from rollcall_agent.exchanging import put_in_place  # noqa: PLC0415
    from rollcall_agent.staging import StagingError  # noqa: PLC0415
    from rollcall_agent.upgrade_memory import UpgradeMemory  # noqa: PLC0415
    from rollcall_agent.upgrade_settings import state_folder  # noqa: PLC0415

    try:
        staging = late.build()
        wanted = version or staging.newest()
        if wanted == __version__:
            return None
        staged = staging.stage(wanted)
        memory = UpgradeMemory(state_folder(settings))
        put_in_place(staged, __version__, late.files, memory, SystemClock())
    except StagingError as error:
        raise AgentError(f"No upgrade: {error}.", ExitCode.REFUSED) from error
    except OSError as error:
        raise AgentError(
            f"The program could not be exchanged ({error.strerror}). Next: run this as root.",
            ExitCode.USAGE,
        ) from error
    return wanted
