"""The command ``version``."""

from __future__ import annotations

from rollcall_agent import __version__
from rollcall_agent.say import Terminal


def version() -> None:
    """Print the agent's version."""
    Terminal().result(__version__)
