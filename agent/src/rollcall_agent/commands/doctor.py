"""The command ``doctor``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.request import getproxies

import typer

from rollcall_agent.commands.options import Config, TokenFile, Url
from rollcall_agent.commands.outcome import telling
from rollcall_agent.exits import ExitCode

if TYPE_CHECKING:
    from rollcall_agent.doctor.examination import Ground
    from rollcall_agent.doctor.wire import Network
    from rollcall_agent.say import Say
    from rollcall_agent.settings import Settings


def doctor(
    *,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from stdin.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what keeps the agent from working, and say what to do; spends and changes nothing.

    Exits with 9 where a check failed.
    """
    with telling() as say:
        # Imported here, because `run` loads this module as well.
        from rollcall_agent.doctor.examination import Examination  # noqa: PLC0415
        from rollcall_agent.settings import CONFIG, DEFAULT_CONFIG  # noqa: PLC0415

        report = Examination(
            _ground(say, token_file, from_stdin=token_stdin),
            config=config or Path(os.environ.get(CONFIG) or DEFAULT_CONFIG),
            url=url,
            token_was_given=token_file is not None or token_stdin,
        ).run()
        if as_json:
            say.result(json.dumps(report.document(), indent=2))
        else:
            say.result("\n".join(check.line() for check in report.checks))
    if report.exit_code is not ExitCode.OK:
        raise typer.Exit(report.exit_code)


def _ground(say: Say, token_file: Path | None, *, from_stdin: bool) -> Ground:
    from rollcall_agent.clock import SystemClock  # noqa: PLC0415
    from rollcall_agent.commands.parts import connect  # noqa: PLC0415
    from rollcall_agent.doctor.examination import Ground  # noqa: PLC0415
    from rollcall_agent.facts import at_exchange  # noqa: PLC0415
    from rollcall_agent.facts.of_settings import described_by  # noqa: PLC0415
    from rollcall_agent.programs import Programs  # noqa: PLC0415
    from rollcall_agent.token_sources import find_token  # noqa: PLC0415

    clock = SystemClock()
    return Ground(
        platform=sys.platform,
        environment=os.environ,
        proxies=getproxies(),
        network=_network,
        clock=clock,
        programs=Programs.of_this_host(),
        plane=lambda settings, base_url: closing(connect(settings, base_url, clock)),
        token=lambda settings: find_token(
            settings, say, token_file=token_file, from_stdin=from_stdin
        ),
        facts=lambda settings: at_exchange.collect(described_by(settings.value, os.environ)),
    )


def _network(settings: Settings) -> Network:
    from rollcall_agent.client import public_context  # noqa: PLC0415
    from rollcall_agent.clock import SystemClock  # noqa: PLC0415
    from rollcall_agent.doctor.wire import Wire  # noqa: PLC0415
    from rollcall_agent.tls import trusting  # noqa: PLC0415

    return Wire(lambda: trusting(settings.ca_bundle()) or public_context(), SystemClock())
