"""The command ``enroll``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import replace as changed
from typing import Annotated, Final

import typer

from rollcall_agent import last_state
from rollcall_agent.client import Caller
from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.options import Config, Timeout, TokenFile, Url, pairs
from rollcall_agent.commands.outcome import telling
from rollcall_agent.commands.parts import connect, retry_for
from rollcall_agent.enrollment import SAFE_TO_REPEAT, Ask, Enrolled, Enrollment
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.facts import at_exchange, machine_id
from rollcall_agent.facts.host import Host
from rollcall_agent.facts.of_settings import described_by
from rollcall_agent.former import TOLD, FormerEnding
from rollcall_agent.retry import Retry
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity, Settings
from rollcall_agent.token_sources import find_token
from rollcall_agent.urls import check_base_url, is_same_place

# The host lives on without it, so it is not waited for as long as for the enrollment itself.
ENDING_SECONDS: Final = 20.0


def enroll(
    *,
    config: Config = None,
    url: Url = None,
    token_file: TokenFile = None,
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
    with telling() as say:
        settings = Settings.load(config, os.environ)
        labels = pairs(label, "--label")
        if (identity := settings.identity()) is not None and not replace:
            settings.warn_if_exposed(say)
            say.result(already_enrolled(settings, identity, url))
            return
        settings.warn_if_exposed(say)
        base_url = settings.base_url(url)
        token = find_token(settings, say, token_file=token_file, from_stdin=token_stdin)
        facts = at_exchange.collect(described_by(settings.value, os.environ))
        former_url = _own_url(settings) or base_url
        ask = Ask(token, base_url, facts, name, labels, identity, former_url)
        clock = SystemClock()
        with closing(connect(settings, base_url, clock)) as plane:
            enroll_with(settings, ask, plane, retry_for(clock, say, timeout), say)


def already_enrolled(settings: Settings, identity: Identity, url: str | None) -> str:
    """Say that this host has an identity, and where, if another control plane was given.

    Raises:
        AgentError: The URL of the command line cannot be used.
    """
    who, here = f"Already enrolled as {identity.agent_id}", settings.enrolled_at()
    given = settings.base_url(url) if url else _own_url(settings)
    if here is None or given is None or is_same_place(here, given):
        return (
            f"{who}; nothing to do, and no token was used. "
            "To give this host a new identity: enroll --replace."
        )
    return (
        f"{who}: this host is enrolled at {here}, not at {given}; nothing to do, and no token was "
        f"used. To move it to {given}: enroll --replace --url {given}, with a token of that one."
    )


def enroll_with(settings: Settings, ask: Ask, plane: Caller, retry: Retry, say: Say) -> Enrolled:
    """Enroll and say how it went; an identity that is not on disk ends the command."""
    enrolled = Enrollment(settings.path, plane, retry, say).run(ask)
    if not enrolled.persisted:
        raise AgentError(
            f"{enrolled.identity.agent_id} is enrolled but not persisted. Within 24 hours: "
            f"{SAFE_TO_REPEAT}",
            ExitCode.NOT_PERSISTED,
        )
    name = end_former(settings, ask.base_url, enrolled.identity, say)
    if name and (enrolled.name is not None or ask.former is not None):
        enrolled = changed(enrolled, name=name)
    say_enrolled(enrolled, settings, say)
    if ask.name and enrolled.name and enrolled.name.lower() != ask.name.lower():
        say.warn(
            f"the name {ask.name} is another agent's. Next: have an operator run "
            f"rollcall agent rename {enrolled.identity.agent_id} NAME, with a name that is free"
        )
    return enrolled


def end_former(settings: Settings, base_url: str, identity: Identity, say: Say) -> str | None:
    """End the identity that this host had before, where the env file notes one.

    Returns:
        What the control plane calls the present agent now, where it said so.
    """
    clock = SystemClock()

    def connecting(url: str) -> AbstractContextManager[Caller]:
        checked = check_base_url(url, allow_http=settings.allow_http)
        return closing(connect(settings, checked, clock))

    retry = retry_for(clock, say, ENDING_SECONDS)
    return former_ending(settings, base_url, connecting, retry, say).run(identity)


def _own_url(settings: Settings) -> str | None:
    """Return the URL of the control plane that this host belongs to so far."""
    try:
        return settings.base_url()
    except AgentError:
        return None


def former_ending(
    settings: Settings,
    base_url: str,
    connecting: Callable[[str], AbstractContextManager[Caller]],
    retry: Retry,
    say: Say,
) -> FormerEnding:
    """Return what ends the identity that this host had before, where the env file notes one."""
    state_file = settings.state_file()
    return FormerEnding(
        settings.path,
        base_url,
        connecting,
        retry,
        say,
        lambda agent_id: last_state.recall_instance(state_file, agent_id),
        has_machine_id=machine_id.hashed(Host()) is not None,
        was_told=settings.environment.get(TOLD) == "1",
    )


def say_enrolled(enrolled: Enrolled, settings: Settings, say: Say) -> None:
    """Say who this host is now."""
    agent_id = enrolled.identity.agent_id
    if enrolled.name is None:
        say.result(f"Already enrolled as {agent_id}; nothing to do.")
        return
    known_as = f" ({enrolled.name})" if enrolled.name else ""
    where = f"; identity in {settings.path}" if enrolled.persisted else ", in memory alone"
    say.result(f"Enrolled as {agent_id}{known_as}{where}.")
