"""The command line: parses options, builds the parts, maps errors to lines and exit codes."""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from rollcall_agent import __version__, host_facts, last_state
from rollcall_agent.beating import Beating
from rollcall_agent.client import Caller, ControlPlane
from rollcall_agent.clock import Clock, SystemClock
from rollcall_agent.enrollment import SAFE_TO_REPEAT, Ask, Enrolled, Enrollment
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.heartbeat import Heartbeat
from rollcall_agent.progress import progress_bar
from rollcall_agent.retry import Retry
from rollcall_agent.say import Say, Terminal
from rollcall_agent.settings import Identity, Settings
from rollcall_agent.status import inspect
from rollcall_agent.stopping import StoppableCaller, Stopper, StopRequestedError
from rollcall_agent.token_sources import find_token
from rollcall_agent.upload import POLL, Artifact, Upload

# A traceback with local variables would print the very secrets that Secret hides.
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

KINDS: Final = ("incident_bundle", "state_snapshot", "runtime_diagnostics")

Config = Annotated[
    Path | None,
    typer.Option(help="The env file. Default: ROLLCALL_CONFIG, else /etc/rollcall/agent.env."),
]
Url = Annotated[str | None, typer.Option(help="The control plane's URL, stage included.")]
Timeout = Annotated[float, typer.Option(min=1, max=86400, help="Seconds to keep trying.")]


def main() -> None:
    """Enter the agent from the console script."""
    app(prog_name="rollcall-agent")


@app.callback()
def _root() -> None:
    """Enroll this host with a Rollcall control plane and keep it present."""


@app.command()
def version() -> None:
    """Print the agent's version."""
    Terminal().result(__version__)


@app.command()
def enroll(
    *,
    config: Config = None,
    url: Url = None,
    token_file: Annotated[Path | None, typer.Option(help="Read the token from a file.")] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from stdin.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Default: derived from the hostname.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Enroll anew although the host has an identity.")
    ] = False,
    timeout: Timeout = 120,
) -> None:
    """Trade an enrollment token for this host's own identity."""
    with _telling() as say:
        settings = Settings.load(config, os.environ)
        labels = _pairs(label, "--label")
        if (identity := settings.identity()) is not None and not replace:
            settings.warn_if_exposed(say)
            say.result(
                f"Already enrolled as {identity.agent_id}; nothing to do, and no token was used. "
                "To give this host a new identity: enroll --replace."
            )
            return
        settings.warn_if_exposed(say)
        base_url = settings.base_url(url)
        token = find_token(settings, say, token_file=token_file, from_stdin=token_stdin)
        replaces = identity.agent_id if identity is not None else None
        ask = Ask(token, base_url, host_facts.collect(), name, labels, replaces)
        clock = SystemClock()
        with closing(_connect(settings, base_url, clock)) as plane:
            _enroll(settings, ask, plane, _retry(clock, say, timeout), say)


@app.command()
def run(
    *,
    config: Config = None,
    url: Url = None,
    once: Annotated[bool, typer.Option("--once", help="Send a single beat and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each beat.")] = False,
) -> None:
    """Send heartbeats until SIGTERM; enroll first where there is only a token."""
    stopper = Stopper()
    with _telling() as say, stopper.listening():
        try:
            _run(Settings.load(config, os.environ), url, stopper, say, once=once, verbose=verbose)
        except StopRequestedError:
            say.note("Stopped, as asked.")


@app.command()
def upload(
    *,
    file: Annotated[Path, typer.Argument(help="The file to upload.")],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")],
    config: Config = None,
    url: Url = None,
    content_type: Annotated[str | None, typer.Option(help="Default: by the file's name.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    timeout: Timeout = 300,
) -> None:
    """Upload a file as an artifact and print the artifact's id."""
    with _telling() as say:
        settings = Settings.load(config, os.environ)
        settings.warn_if_exposed(say)
        identity = _require_identity(settings)
        if kind not in KINDS:
            raise AgentError(f"--kind must be one of {', '.join(KINDS)}.", ExitCode.USAGE)
        artifact = Artifact.of(file, kind, content_type, _pairs(metadata, "--metadata"))
        clock = SystemClock()
        with (
            closing(_connect(settings, settings.base_url(url), clock)) as plane,
            progress_bar(artifact.size) as progress,
        ):
            settling = Retry(clock, random.SystemRandom(), _Quiet(), timeout, POLL)
            sending = _retry(clock, say, timeout)
            say.note(f"Uploading {artifact.path.name} ({artifact.size} bytes).")
            uploaded = Upload(identity, plane, sending, settling, progress).run(artifact)
        say.note("Already stored, not sent again." if uploaded.deduplicated else "Stored.")
        say.result(uploaded.artifact_id)


@app.command()
def status(
    *,
    config: Config = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the configuration, the identity (never the key) and whether the URL answers."""
    with _telling() as say:
        settings = Settings.load(config, os.environ)
        settings.warn_if_exposed(say)
        base_url = None
        try:
            base_url = settings.base_url(url)
        except AgentError as error:
            say.warn(error.line)
        if base_url is None:
            found = inspect(settings, None, None)
        else:
            with closing(_connect(settings, base_url, SystemClock())) as plane:
                found = inspect(settings, base_url, plane)
        if as_json:
            say.result(json.dumps(asdict(found), indent=2))
        else:
            say.result("\n".join(found.lines()))
        if found.exit_code is not ExitCode.OK:
            raise typer.Exit(found.exit_code)


@contextmanager
def _telling() -> Iterator[Say]:
    """End the command with one line and the documented exit code where something fails."""
    say = Terminal()
    try:
        yield say
    except AgentError as error:
        say.note(f"error: {error.line}")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        say.note("Interrupted. Running the same command again is safe.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error


class _Quiet(Terminal):
    """Says nothing of waits that are expected."""

    def note(self, line: str) -> None:
        """Swallow the line."""


def _connect(settings: Settings, base_url: str, clock: Clock) -> ControlPlane:
    return ControlPlane(base_url, clock=clock, allow_http=settings.allow_http)


def _retry(clock: Clock, say: Say, timeout: float) -> Retry:
    return Retry(clock, random.SystemRandom(), say, timeout)


def _enroll(settings: Settings, ask: Ask, plane: Caller, retry: Retry, say: Say) -> Enrolled:
    """Enroll and say how it went; an identity that is not on disk ends the command."""
    enrolled = Enrollment(settings.path, plane, retry, say).run(ask)
    agent_id = enrolled.identity.agent_id
    if not enrolled.persisted:
        raise AgentError(
            f"{agent_id} is enrolled but not persisted. {SAFE_TO_REPEAT}", ExitCode.NOT_PERSISTED
        )
    if enrolled.name is None:
        say.result(f"Already enrolled as {agent_id}; nothing to do.")
    else:
        known_as = f" ({enrolled.name})" if enrolled.name else ""
        say.result(f"Enrolled as {agent_id}{known_as}; identity in {settings.path}.")
    return enrolled


def _run(
    settings: Settings, url: str | None, stopper: Stopper, say: Say, *, once: bool, verbose: bool
) -> None:
    settings.warn_if_exposed(say)
    base_url = settings.base_url(url)
    with closing(_connect(settings, base_url, stopper)) as connection:
        plane = StoppableCaller(connection, stopper)
        identity = settings.identity()
        if identity is None:
            ask = Ask(find_token(settings, say), base_url, host_facts.collect())
            identity = _enroll(settings, ask, plane, _retry(stopper, say, 120), say).identity
        rng = random.SystemRandom()
        state_file = settings.state_file()
        beating = Beating(
            identity=identity,
            plane=plane,
            heartbeat=Heartbeat(rng=rng, mint_nonce=lambda: secrets.token_urlsafe(24)),
            instance=secrets.token_urlsafe(24),
            clock=stopper,
            say=say,
            remember=lambda state, detail, now: last_state.remember(state_file, state, detail, now),
            verbose=verbose,
        )
        if once:
            beating.once()
        else:
            beating.run()


def _require_identity(settings: Settings) -> Identity:
    identity = settings.identity()
    if identity is None:
        raise AgentError(
            f"This host is not enrolled ({settings.path}). Next: run enroll.", ExitCode.NOT_ENROLLED
        )
    return identity


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read key=value options."""
    pairs: dict[str, str] = {}
    for text in given or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise AgentError(f"{option} takes key=value.", ExitCode.USAGE)
        pairs[key] = value
    return pairs
