"""The command ``upload``."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.options import Config, Timeout, Url, pairs
from rollcall_agent.commands.outcome import telling
from rollcall_agent.commands.parts import connect, require_identity, retry_for
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.progress import progress_bar
from rollcall_agent.retry import Retry
from rollcall_agent.say import Terminal
from rollcall_agent.settings import Settings
from rollcall_agent.upload import POLL, Artifact, Upload

KINDS: Final = ("incident_bundle", "state_snapshot", "runtime_diagnostics")
KNOWN: Final = (
    "Already stored, not sent again; of this artifact the name, type and metadata that were given "
    "now stand."
)


def upload(
    *,
    file: Annotated[Path, typer.Argument(help="The file to upload.", readable=False)],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")],
    config: Config = None,
    url: Url = None,
    content_type: Annotated[str | None, typer.Option(help="Default: by the file's name.")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="key=value; may be repeated.")] = None,
    timeout: Timeout = 300,
) -> None:
    """Upload a file as an artifact and print the artifact's id."""
    with telling() as say:
        settings = Settings.load(config, os.environ)
        settings.warn_if_exposed(say)
        identity = require_identity(settings)
        if kind not in KINDS:
            raise AgentError(f"--kind must be one of {', '.join(KINDS)}.", ExitCode.USAGE)
        artifact = Artifact.of(file, kind, content_type, pairs(metadata, "--metadata"))
        clock = SystemClock()
        with (
            closing(connect(settings, settings.base_url(url), clock)) as plane,
            progress_bar(artifact.file.size) as progress,
        ):
            settling = Retry(clock, random.SystemRandom(), _Quiet(), timeout, POLL)
            sending = retry_for(clock, say, timeout)
            say.note(f"Uploading {artifact.filename} ({artifact.file.size} bytes).")
            uploaded = Upload(identity, plane, sending, settling, progress).run(artifact)
        say.note(KNOWN if uploaded.deduplicated else "Stored.")
        say.result(uploaded.artifact_id)


class _Quiet(Terminal):
    """Says nothing of waits that are expected."""

    def note(self, line: str) -> None:
        """Swallow the line."""
