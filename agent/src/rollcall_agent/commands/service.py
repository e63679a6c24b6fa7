"""The commands ``service install|uninstall|status|start|stop``, and ``run`` for the manager."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rollcall_agent.commands.options import Config
from rollcall_agent.commands.outcome import telling
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.places import HERE, SERVICE
from rollcall_agent.programs import Programs
from rollcall_agent.say import Say
from rollcall_agent.service.manager import Definition, Standing, manager_of_this_host
from rollcall_agent.settings import Settings

service = typer.Typer(
    no_args_is_help=True, help="Install and control the agent as a service of this host."
)

Root = Annotated[
    Path | None,
    typer.Option(
        help="Only write the service's definition, below this folder (an image's root).",
        readable=False,
    ),
]
Binary = Annotated[
    Path | None,
    typer.Option(help="The agent's program. Default: the one that runs this.", readable=False),
]


@service.command()
def install(
    *,
    config: Config = None,
    root: Root = None,
    binary: Binary = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Do not start it yet.")] = False,
) -> None:
    """Install the service, let it start with the host, and start it; may be repeated."""
    with telling() as say:
        # Imported here, because `run` loads this module as well.
        from rollcall_agent.service.installing import define, write_below  # noqa: PLC0415

        settings = Settings.load(config, os.environ)
        definition = define(settings, binary)
        if root is not None:
            written = write_below(root, definition, sys.platform, HERE)
            say.result(f"Wrote {written}.")
            return
        _require_root()
        _let_it_reach(settings, definition, say)
        manager_of_this_host().install(definition, start=not no_start)
        _tell(manager_of_this_host().standing(), say)


@service.command()
def uninstall(*, root: Root = None) -> None:
    """Stop and remove the service; identity, configuration and state stay."""
    with telling() as say:
        if root is not None:
            from rollcall_agent.service.installing import remove_below  # noqa: PLC0415

            remove_below(root, HERE)
        else:
            _require_root()
            manager_of_this_host().uninstall()
        say.result(f"{SERVICE} is not installed.")


@service.command()
def status() -> None:
    """Show whether the service is installed and running; exits with 4 where it is not running."""
    with telling() as say:
        standing = manager_of_this_host().standing()
        _tell(standing, say)
        if standing is not Standing.RUNNING:
            raise typer.Exit(ExitCode.UNREACHABLE)


@service.command()
def start() -> None:
    """Start the service."""
    with telling() as say:
        _require_root()
        manager_of_this_host().start()
        _tell(manager_of_this_host().standing(), say)


@service.command()
def stop() -> None:
    """Stop the service."""
    with telling() as say:
        _require_root()
        manager_of_this_host().stop()
        _tell(manager_of_this_host().standing(), say)


@service.command(hidden=True)
def run(*, config: Config = None) -> None:
    """Run the agent for a service manager that knows success and failure only."""
    from rollcall_agent.service.running import run_for_manager  # noqa: PLC0415

    with telling():
        code = run_for_manager(config, sys.platform)
    raise typer.Exit(code)


def _let_it_reach(settings: Settings, definition: Definition, say: Say) -> None:
    """Make the service's folders, and see to it that it can use them and its files."""
    from rollcall_agent.service.access import make_reachable  # noqa: PLC0415
    from rollcall_agent.service.installing import prepare  # noqa: PLC0415
    from rollcall_agent.service.reach import ALL_POWERFUL, OF_UNIT, user_of_service  # noqa: PLC0415

    user = user_of_service(sys.platform, Programs.of_this_host())
    if user is None:
        user = OF_UNIT if sys.platform == "linux" else ALL_POWERFUL
    # Before any folder is made, and once more with those that were made for root.
    make_reachable(settings, definition, user, say)
    prepare(definition)
    make_reachable(settings, definition, user, say)


def _require_root() -> None:
    # Windows says so itself, where the service manager denies access.
    if sys.platform != "win32" and os.geteuid() != 0:
        raise AgentError("Services are root's. Next: run this with sudo.", ExitCode.USAGE)


def _tell(standing: Standing, say: Say) -> None:
    say.result(f"{SERVICE} is {standing}.")
