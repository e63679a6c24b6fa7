"""Jobs: bulk changes, and waiting for them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.lists import show_one
from rollcall_cli.names import checked_id
from rollcall_cli.options import AsJson, Timeout
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import cell
from rollcall_cli.text import sentence
from rollcall_cli.waiting import Waiting

app = typer.Typer(no_args_is_help=True, help="See how far a job came.")
Job = Annotated[str, typer.Argument(help="A job's id (job_…).")]


@app.command()
def show(context: typer.Context, job: Job, *, as_json: AsJson = False) -> None:
    """Show a job."""
    with surroundings.operator(context) as operator:
        found = operator.plane.get("jobs", checked_id("job", job, "a job's id (job_…)"))
        show_one(operator, found, as_json=as_json)


@app.command()
def wait(
    context: typer.Context, job: Job, *, timeout: Timeout = 600, as_json: AsJson = False
) -> None:
    """Wait until a job has ended: 0 when it is done, 7 when it failed, 6 when time is over."""
    with surroundings.operator(context) as operator:
        identifier = checked_id("job", job, "a job's id (job_…)")
        ended = follow(operator, identifier, timeout)
        show_one(operator, ended, as_json=as_json)
        check_done(ended)


def follow(operator: Operator, job_id: str, timeout: float) -> dict[str, Any]:
    """Wait for a job's end, saying how far it is.

    Raises:
        CliError: time is over.
    """
    waiting = Waiting(operator.clock, timeout)
    said = ""
    while True:
        job = operator.plane.get("jobs", job_id)
        if job.get("status") in {"done", "failed"}:
            return job
        of_all = f" of {job['total']}" if job.get("total") is not None else ""
        line = f"{job_id} is {job.get('status')}: {job.get('processed', 0)}{of_all}."
        if line != said:
            operator.screen.note(line)
            said = line
        if not waiting.another_round():
            raise CliError(
                f"{job_id} has not ended after {timeout:.0f} s; it goes on by itself.\n"
                f"Next: rollcall job wait {job_id}",
                ExitCode.TIMED_OUT,
            )


def check_done(job: dict[str, Any]) -> None:
    """End the command badly where a job did.

    Raises:
        CliError: it failed.
    """
    if job.get("status") == "failed":
        line = sentence(f"{job.get('job_id')} failed: {cell(job.get('last_error'))}")
        raise CliError(line, ExitCode.ENDED_BADLY)
