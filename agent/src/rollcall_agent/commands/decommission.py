"""The command ``decommission``."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import Annotated

import typer

from rollcall_agent import last_state
from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.enroll import end_former
from rollcall_agent.commands.options import Config, Timeout, Url
from rollcall_agent.commands.outcome import telling
from rollcall_agent.commands.parts import connect, require_identity, retry_for
from rollcall_agent.decommissioning import Decommissioning
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.settings import Settings


def decommission(
    *,
    config: Config = None,
    url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    note: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    timeout: Timeout = 60,
) -> None:
    """End this host's agent for good and take its identity out of the env file."""
    with telling() as say:
        settings = Settings.load(config, os.environ)
        identity = require_identity(settings)
        if not yes:
            _ask_for_leave(identity.agent_id)
        clock, base_url = SystemClock(), settings.base_url(url)
        # Its key would stay on the host, and nothing on the host could end it any more.
        end_former(settings, base_url, identity, say)
        with closing(connect(settings, base_url, clock)) as plane:
            retry = retry_for(clock, say, timeout)
            instance = last_state.recall_instance(settings.state_file(), identity.agent_id)
            Decommissioning(settings.path, plane, retry, say, instance).run(identity, note)


def _ask_for_leave(agent_id: str) -> None:
    """Ask whoever sits there, and end the command where nobody does, or says no."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise AgentError("Nobody is there to be asked. Next: give --yes.", ExitCode.USAGE)
    question = f"End {agent_id} for good? Its key will never work again."
    if not typer.confirm(question, err=True):
        raise AgentError("Nothing was changed.", ExitCode.USAGE)
