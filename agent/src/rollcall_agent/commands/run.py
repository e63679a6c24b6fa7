"""The command ``run``: what it imports stays in memory for as long as the host is up."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

# Loaded before it is needed: once the binary was exchanged nothing can be imported any more.
import rollcall_agent.restart  # noqa: F401
from rollcall_agent import last_state
from rollcall_agent.beating import Beating, Errands, NoUpgrades, Upgrader
from rollcall_agent.client import Caller
from rollcall_agent.commands.enroll import former_ending, say_enrolled
from rollcall_agent.commands.options import Config, Url
from rollcall_agent.commands.outcome import telling
from rollcall_agent.commands.parts import connect, retry_for
from rollcall_agent.enrollment import Ask, Enrolled, Enrollment
from rollcall_agent.exits import AgentError
from rollcall_agent.facts import at_exchange
from rollcall_agent.facts.collector import Collector
from rollcall_agent.facts.of_settings import described_by
from rollcall_agent.heartbeat import Heartbeat
from rollcall_agent.identity_file import IdentityFile
from rollcall_agent.instance import Instance
from rollcall_agent.last_state import Beaten
from rollcall_agent.own_upgrade import upgrade_of_this_process
from rollcall_agent.persistence import Persistence
from rollcall_agent.reporting import Reporting
from rollcall_agent.rotation import Rotation
from rollcall_agent.say import OutputLostError, Say
from rollcall_agent.schedule import Schedule
from rollcall_agent.service.endings import is_final
from rollcall_agent.settings import STATE_FILE, Identity, Settings
from rollcall_agent.splitting import Splitting
from rollcall_agent.stopping import StoppableCaller, Stopper, StopRequestedError
from rollcall_agent.token_sources import find_token
from rollcall_agent.urls import check_base_url

ENROLLING_SECONDS = 120.0
# Before the first beat, which must not wait long for it.
FORMER_SECONDS = 5.0


def run(
    *,
    config: Config = None,
    url: Url = None,
    once: Annotated[bool, typer.Option("--once", help="Send a single beat and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print each beat.")] = False,
) -> None:
    """Send heartbeats until SIGTERM; enroll first where there is only a token."""
    stopper = Stopper()
    with telling() as say, stopper.listening():
        try:
            run_agent(config, url, stopper, say, once=once, verbose=verbose)
        except StopRequestedError:
            say.note("Stopped, as asked.")


def run_agent(
    config: Path | None,
    url: str | None,
    stopper: Stopper,
    say: Say,
    *,
    once: bool,
    verbose: bool,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Enroll where that is still to be done, and beat until the stopper says stop."""

    def live(upgrader: Upgrader) -> None:
        _live(Settings.load(config, environment), url, upgrader, stopper, say, once, verbose)

    if once:
        # A single beat of a person is no trial of a version, and must not end one either.
        live(NoUpgrades())
        return
    # Before anything that can fail: a version that no service manager would start again counts.
    readable = Settings.load_what_can_be(config, environment)
    upgrade = upgrade_of_this_process(readable, url, stopper, say)
    upgrade.at_start()
    try:
        live(upgrade)
    except AgentError as error:
        if is_final(error.exit_code):
            upgrade.ended(error.line)
        raise


def _live(
    settings: Settings,
    url: str | None,
    upgrader: Upgrader,
    stopper: Stopper,
    say: Say,
    once: bool,
    verbose: bool,
) -> None:
    settings.warn_if_exposed(say)
    base_url = settings.base_url(url)
    with closing(connect(settings, base_url, stopper)) as connection:
        plane = StoppableCaller(connection, stopper, connection.renew)
        rng = random.SystemRandom()
        persistence = Persistence(stopper, rng, say)
        file = IdentityFile(settings.path)
        errands = Errands(
            rotation=Rotation(file, plane, stopper, rng, say),
            splitting=Splitting(file, plane, say, settings.split_note()),
            persistence=persistence,
            reporting=_reporting(settings, plane, stopper, rng, say),
            upgrader=upgrader,
        )
        _warn_of_state_file(settings, say)
        identity, beaten, interval = settings.identity(), None, None
        if identity is not None:
            _end_former(settings, base_url, identity, stopper, say)
            beaten = last_state.recall_beaten(settings.state_file(), identity.agent_id)
        else:
            enrolled = _enroll(settings, base_url, plane, stopper, persistence, say)
            identity, interval = enrolled.identity, enrolled.interval
        beating = _beating(settings, identity, beaten, interval, errands, plane, stopper, say)
        beating.verbose = verbose
        if once:
            beating.once()
        else:
            beating.run()


def _warn_of_state_file(settings: Settings, say: Say) -> None:
    path = settings.state_file()
    with suppress(OSError):
        if not last_state.may_be_replaced(path):
            say.warn(
                f"{path} holds something else than the agent's state, and is left as it is. Next: "
                f"name another file in {STATE_FILE}, or take that setting out."
            )


def _end_former(
    settings: Settings, base_url: str, identity: Identity, stopper: Stopper, say: Say
) -> None:
    """End the identity that this host had before, where `enroll --replace` could not."""

    @contextmanager
    def connecting(url: str) -> Iterator[Caller]:
        checked = check_base_url(url, allow_http=settings.allow_http)
        with closing(connect(settings, checked, stopper)) as connection:
            yield StoppableCaller(connection, stopper, connection.renew)

    retry = retry_for(stopper, say, FORMER_SECONDS)
    former_ending(settings, base_url, connecting, retry, say).run(identity)


def _reporting(
    settings: Settings, plane: Caller, stopper: Stopper, rng: random.Random, say: Say
) -> Reporting:
    collector = Collector(described_by(settings.value, os.environ))
    return Reporting(collector, plane, stopper, rng, say)


def _enroll(
    settings: Settings,
    base_url: str,
    plane: Caller,
    stopper: Stopper,
    persistence: Persistence,
    say: Say,
) -> Enrolled:
    """Enroll; an identity that cannot be written is lived with, and written when that works."""
    facts = at_exchange.collect(described_by(settings.value, os.environ))
    ask = Ask(find_token(settings, say), base_url, facts)
    enrollment = Enrollment(settings.path, plane, retry_for(stopper, say, ENROLLING_SECONDS), say)
    enrolled = enrollment.run(ask)
    identity = enrolled.identity
    if not enrolled.persisted:
        persistence.owe(lambda: enrollment.persist(ask, identity))
    # An identity that is in memory alone must not be lost because stdout was.
    with suppress(OutputLostError):
        say_enrolled(enrolled, settings, say)
    return enrolled


def _beating(
    settings: Settings,
    identity: Identity,
    beaten: Beaten | None,
    interval: float | None,
    errands: Errands,
    plane: Caller,
    stopper: Stopper,
    say: Say,
) -> Beating:
    rng = random.SystemRandom()
    state_file = settings.state_file()
    return Beating(
        identity=identity,
        plane=plane,
        begin=lambda agent_id, interval: Heartbeat(
            schedule=Schedule.of(agent_id), rng=rng, mint_nonce=_mint, interval=interval
        ),
        errands=errands,
        instance=Instance(_mint, stopper),
        clock=stopper,
        say=say,
        remember=lambda *standing: last_state.remember(state_file, *standing),
        beaten=beaten,
        interval=interval,
    )


def _mint() -> str:
    return secrets.token_urlsafe(24)
