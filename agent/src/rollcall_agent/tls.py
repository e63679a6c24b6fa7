"""Whose certificates the agent believes, for everything that it fetches."""

from __future__ import annotations

import ssl
from pathlib import Path

from rollcall_agent.exits import AgentError, ExitCode


def trusting(bundle: Path | None) -> ssl.SSLContext | None:
    """Return a context that believes a private CA besides the public ones; None without one."""
    if bundle is None:
        return None
    # Imported here, because the module that knows httpx also decides how little of it is loaded.
    from rollcall_agent.client import public_context  # noqa: PLC0415

    context = public_context()
    try:
        context.load_verify_locations(cafile=bundle)
    except OSError as error:
        # What TLS makes of a file is an OSError too, with a text that names its own source.
        is_no_pem = isinstance(error, ssl.SSLError)
        why = "it holds no PEM certificates" if is_no_pem else error.strerror
        raise AgentError(
            f"ROLLCALL_CA_BUNDLE names {bundle}, which cannot be used ({why}). Next: name a file "
            "of PEM certificates that the agent may read.",
            ExitCode.USAGE if is_no_pem else ExitCode.UNREADY,
        ) from error
    return context
