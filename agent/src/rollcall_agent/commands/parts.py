"""What several commands build before they can work."""

from __future__ import annotations

import random

from rollcall_agent.client import ControlPlane
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.retry import Retry
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity, Settings
from rollcall_agent.tls import trusting


def connect(settings: Settings, base_url: str, clock: Clock) -> ControlPlane:
    """Return a connection to the control plane; the caller closes it."""
    return ControlPlane(
        base_url,
        clock=clock,
        allow_http=settings.allow_http,
        tls=trusting(settings.ca_bundle()),
    )


def retry_for(clock: Clock, say: Say, timeout: float) -> Retry:
    """Return what repeats a step for the given seconds."""
    return Retry(clock, random.SystemRandom(), say, timeout)


def require_identity(settings: Settings) -> Identity:
    """Return this host's identity, or end the command."""
    identity = settings.identity()
    if identity is None:
        raise AgentError(
            f"This host is not enrolled ({settings.path}). Next: run enroll.", ExitCode.NOT_ENROLLED
        )
    return identity
