"""What a command is given from outside: environment, streams, time, network."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field

import httpx
import typer

from rollcall_cli.access import find_access
from rollcall_cli.clock import Clock, SystemClock
from rollcall_cli.control_plane import ControlPlane
from rollcall_cli.http import Connection
from rollcall_cli.logins import Logins
from rollcall_cli.names import Names
from rollcall_cli.private_files import is_widely_readable
from rollcall_cli.screen import Screen, own_streams
from rollcall_cli.secret import Secret

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Surroundings:
    """The process's own, or a test's."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    screen: Screen = field(default_factory=own_streams)
    clock: Clock = field(default_factory=SystemClock)
    transport: httpx.BaseTransport | None = None
    patience: float = PATIENCE_SECONDS
    warned: set[str] = field(default_factory=set)

    @property
    def logins(self) -> Logins:
        """The sessions of this person."""
        return Logins.of(self.environ)

    @contextmanager
    def plane(self, url: str, credential: Secret | None) -> Iterator[ControlPlane]:
        """Open a control plane."""
        connection = Connection(url, credential, clock=self.clock, transport=self.transport)
        with closing(connection):
            rng = random.SystemRandom()
            yield ControlPlane(connection, self.screen, self.clock, self.patience, rng, self.warned)


@dataclass(frozen=True)
class Operator:
    """What a command works with for the operator who is logged in."""

    plane: ControlPlane
    names: Names
    screen: Screen
    clock: Clock
    url: str

    def agent_id(self, agent: str, environment: str | None) -> str:
        """The identifier of an agent that was named, in one environment where one was named."""
        within = self.names.environment(environment) if environment else None
        return self.names.agent(agent, within)


def of(context: typer.Context) -> Surroundings:
    """What this command was given."""
    given = context.obj
    return given if isinstance(given, Surroundings) else Surroundings()


def operator(context: typer.Context) -> AbstractContextManager[Operator]:
    """Open the control plane with the operator's credential.

    Raises:
        CliError: there is no control plane, or no credential for it.
    """
    return operator_of(of(context))


@contextmanager
def operator_of(around: Surroundings) -> Iterator[Operator]:
    """The same, for surroundings that are at hand."""
    logins = around.logins
    if logins.path is not None and is_widely_readable(logins.path):
        around.screen.note(
            f"warning: {logins.path} can be read by others. Next: chmod 600 {logins.path}"
        )
    access = find_access(around.environ, logins)
    with around.plane(access.url, access.credential) as plane:
        yield Operator(plane, Names(plane), around.screen, around.clock, access.url)
