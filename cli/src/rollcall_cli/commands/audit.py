"""The evidence: read it, follow it, export it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rollcall_cli import exporting, surroundings
from rollcall_cli.clock import rfc3339
from rollcall_cli.exits import usage
from rollcall_cli.lists import show_list
from rollcall_cli.options import DEFAULT_LIMIT, All, AsJson, Limit, Timeout, seconds
from rollcall_cli.resources import resource as resource_of
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column, Row, as_document, as_line
from rollcall_cli.text import counted
from rollcall_cli.waiting import Waiting

# Refusals of a minute are one record with the minute's beginning as its time.
OVERLAP_SECONDS: Final = 90.0
_FOREVER: Final = float("inf")


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(help="How long ago (1h, 7d), or a time. Default: a day; with --follow, now."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same; default now.")] = None,
    resource: Annotated[
        str | None, typer.Option(help="An id (agt_…), type/id, or agent/NAME.")
    ] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="Oldest first.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Put all of the range, and what proves it, into this new folder (0700).",
        ),
    ] = None,
    timeout: Timeout = 900,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    as_json: AsJson = False,
) -> None:
    """Show audit records, newest first: who did what, from where, with which outcome."""
    if follow and (until or export):
        raise usage("--follow goes neither with --until nor with --export.")
    most = None if everything else limit
    with surroundings.operator(context) as operator:
        now = operator.clock.now()
        about = _about(operator, resource)
        if follow:
            _follow(operator, now - _ago(since or "0s", now), about, as_json=as_json)
            return
        wanted = {"since": _moment(since or "1d", now), **about}
        if until is not None or export is not None:
            wanted["until"] = _moment(until or "0s", now)
        if export is not None:
            _export(operator, wanted, export, timeout, as_json=as_json)
            return
        order = "oldest" if oldest else "newest"
        page = operator.plane.page("audit-records", most=most, order=order, **wanted)
        show_list(operator, page, _COLUMNS, as_json=as_json)


def _about(operator: Operator, resource: str | None) -> dict[str, str]:
    if resource is None:
        return {}
    kind, identifier = resource_of(resource, operator.names)
    return {"resource_type": kind, "resource_id": identifier}


def _actor(row: Row) -> str:
    return _named(row.get("actor"))


def _resource(row: Row) -> str:
    return _named(row.get("resource"))


def _named(thing: Any) -> str:  # noqa: ANN401 - a member of an answer
    found = thing if isinstance(thing, dict) else {}
    return f"{found.get('type')}/{found.get('id')}"


_COLUMNS: Final = [
    Column("TIME", "time"),
    Column("EVENT", "event"),
    Column("OUTCOME", "outcome"),
    Column("REASON", "reason"),
    Column("ACTOR", _actor),
    Column("RESOURCE", _resource),
    Column("FROM", "source_address"),
]


def _follow(operator: Operator, since: float, about: dict[str, str], *, as_json: bool) -> None:
    for record in _records(operator, since, about):
        if as_json:
            operator.screen.result(as_line(record))
        else:
            operator.screen.result("  ".join(column.of(record) for column in _COLUMNS))


def _records(operator: Operator, since: float, about: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Records as they come, each once, without end."""
    seen: dict[str, float] = {}
    waiting = Waiting(operator.clock, _FOREVER)
    while True:
        now = operator.clock.now()
        found = operator.plane.all("audit-records", since=rfc3339(since), order="oldest", **about)
        since = max(since, now - OVERLAP_SECONDS)
        for record in found:
            if str(record["id"]) not in seen:
                waiting.hurry()
                yield record
            seen[str(record["id"])] = now
        # What is no longer in the answers need not be remembered.
        seen = {key: at for key, at in seen.items() if now - at < OVERLAP_SECONDS}
        waiting.another_round()


def _export(
    operator: Operator, wanted: dict[str, str], folder: Path, timeout: float, *, as_json: bool
) -> None:
    exporting.check_folder(folder)
    done = exporting.export(operator, wanted, folder, timeout)
    if as_json:
        operator.screen.result(as_document(exporting.without_addresses(done)))
        return
    records = sum(int(file.get("records") or 0) for file in done["files"])
    operator.screen.result(f"{counted(records, 'record')}: in {folder}.")


def _ago(text: str, now: float) -> float:
    """How many seconds ago something was: a length of time, or a moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float(seconds(text, "--since and --until"))
    if moment.tzinfo is None:
        raise usage("A time needs its zone: 2026-01-31T12:00:00Z. Or say how long ago: 2h.")
    return now - moment.timestamp()


def _moment(text: str, now: float) -> str:
    return rfc3339(now - _ago(text, now))
