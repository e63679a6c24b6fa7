"""The command ``status``."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.options import Config, Url
from rollcall_agent.commands.outcome import telling
from rollcall_agent.commands.parts import connect
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.settings import Settings
from rollcall_agent.status import inspect


def status(
    *,
    config: Config = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the configuration, the identity (never the key) and whether the URL answers."""
    with telling() as say:
        settings = Settings.look(config, os.environ)
        settings.warn_if_exposed(say)
        for mistake in settings.mistaken_switches().values():
            say.warn(mistake.line)
        settings = settings.without_mistaken_switches()
        base_url = None
        try:
            base_url = settings.base_url(url)
        except AgentError as error:
            say.warn(error.line)
        if base_url is None:
            found = inspect(settings, None, None, url_is_given=bool(url))
        else:
            with closing(connect(settings, base_url, SystemClock())) as plane:
                found = inspect(settings, base_url, plane)
        if as_json:
            say.result(json.dumps(asdict(found), indent=2))
        else:
            say.result("\n".join(found.lines()))
        if found.exit_code is not ExitCode.OK:
            raise typer.Exit(found.exit_code)
