"""Enrollment tokens: mint, list, show, revoke."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rollcall_cli import minting, surroundings
from rollcall_cli.commands import job
from rollcall_cli.completion import complete_environment
from rollcall_cli.exits import usage
from rollcall_cli.handing_over import place_for_secret
from rollcall_cli.lists import show_list, show_one
from rollcall_cli.names import token_id
from rollcall_cli.options import (
    DEFAULT_LIMIT,
    All,
    AsJson,
    Cursor,
    Environment,
    Limit,
    Note,
    Output,
    Timeout,
    Yes,
    pairs,
    seconds,
)
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column, as_document, as_line, cell
from rollcall_cli.text import counted
from rollcall_cli.waiting import Waiting
from rollcall_cli.watching import Hosts, watch_token

WATCH_SECONDS: Final = 900.0
SHORTEST_TTL: Final = 60
LONGEST_TTL: Final = 30 * 86_400

TimeoutOfWatch = Annotated[
    float | None,
    typer.Option(min=1, max=86_400, help="With --watch: seconds to wait, 900 if left out."),
]

app = typer.Typer(no_args_is_help=True, help="Mint, see and revoke enrollment tokens.")
Token = Annotated[str, typer.Argument(help="A token's id (tok_…), never its secret.")]


@app.command()
def mint(
    context: typer.Context,
    environment: Annotated[
        str, typer.Argument(help="Name or id.", autocompletion=complete_environment)
    ],
    *,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 15m, 12h, 30d.")] = "1h",
    uses: Annotated[int, typer.Option(min=1, help="For how many hosts.")] = 1,
    hostname: Annotated[str | None, typer.Option(help="Only a host of this name.")] = None,
    source_cidr: Annotated[
        list[str] | None, typer.Option(help="Only from this network; may be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="key=value that the agents get; may be repeated.")
    ] = None,
    replace_machine: Annotated[
        bool,
        typer.Option(
            "--replace-machine", help="A re-imaged host takes the place of its former agent."
        ),
    ] = False,
    replace_offline: Annotated[
        str | None,
        typer.Option(
            help="With --replace-machine: how long that one must be offline; 2h, 30m to 30d."
        ),
    ] = None,
    note: Note = None,
    output: Output = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then wait until its hosts are online.")
    ] = False,
    timeout: TimeoutOfWatch = None,
    as_json: AsJson = False,
) -> None:
    """Mint a token. Its secret is shown this once, alone on stdout."""
    if replace_offline is not None and not replace_machine:
        raise usage("--replace-offline goes with --replace-machine.")
    if timeout is not None and not watch:
        raise usage("--timeout goes with --watch.")
    optional = {
        "hostname": hostname,
        "source_cidrs": source_cidr,
        "note": note,
        "replace_machine": replace_machine or None,
        "replace_offline_seconds": (
            seconds(replace_offline, "--replace-offline") if replace_offline is not None else None
        ),
    }
    body: dict[str, Any] = {
        "ttl_seconds": _lifetime(ttl),
        "max_uses": uses,
        "labels": pairs(label, "--label"),
        **{name: value for name, value in optional.items() if value is not None},
    }
    with surroundings.operator(context) as operator:
        body["environment"] = operator.names.environment(environment)
        with place_for_secret(operator.screen, output) as place:
            minted = minting.mint(operator, body)
            # The secret first: whatever comes after it may fail.
            place.hand_over(
                minted,
                "token",
                undo=minting.undo(operator, minted),
                as_json=as_json,
                form=as_line if watch else as_document,
            )
        if not as_json:
            _explain(operator, minted, output)
        if watch:
            tell = operator.screen.result if as_json else operator.screen.note
            hosts = Hosts(operator, tell, as_json=as_json)
            watch_token(operator, minted, hosts, Waiting(operator.clock, timeout or WATCH_SECONDS))


def _lifetime(text: str) -> int:
    """How long a token is good for, in seconds; the bounds are the control plane's."""
    found = seconds(text, "--ttl")
    if not SHORTEST_TTL <= found <= LONGEST_TTL:
        raise usage("--ttl is a length of time from 1m to 30d.")
    return found


@app.command("list")
def list_tokens(
    context: typer.Context,
    *,
    environment: Environment = None,
    status: Annotated[str | None, typer.Option(help="active, spent, expired or revoked.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List tokens, newest first within each environment."""
    with surroundings.operator(context) as operator:
        names = operator.names
        page = operator.plane.page(
            "agent-enrollment",
            "tokens",
            most=None if everything else limit,
            cursor=cursor,
            environment=names.environment(environment) if environment else None,
            status=status,
        )
        columns = [
            Column("TOKEN", "enrollment_token_id"),
            Column("STATUS", "status"),
            Column("USES", lambda row: f"{row.get('uses')}/{row.get('max_uses')}"),
            Column("ENVIRONMENT", lambda row: names.title("environments", row.get("environment"))),
            Column("EXPIRES", "expires_at"),
            Column("HOSTNAME", "hostname"),
            Column("NOTE", "note"),
        ]
        show_list(operator, page, columns, as_json=as_json)


@app.command()
def show(context: typer.Context, token: Token, *, as_json: AsJson = False) -> None:
    """Show a token; its secret cannot be shown again."""
    with surroundings.operator(context) as operator:
        found = operator.plane.get("agent-enrollment", "tokens", token_id(token))
        show_one(operator, found, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context,
    token: Token,
    *,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Revoke the agents that it made, too.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --cascade: until the last agent is revoked.")
    ] = False,
    timeout: Timeout = 600,
    note: Note = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a token: no host enrolls with it any more. This cannot be undone."""
    if wait and not cascade:
        raise usage("--wait goes with --cascade: there is nothing else to wait for.")
    with surroundings.operator(context) as operator:
        identifier = token_id(token)
        agents = " and every agent that it made" if cascade else ""
        operator.screen.confirm(f"Revoke {identifier}{agents}?", yes=yes)
        body: dict[str, Any] = {"cascade": True} if cascade else {}
        if note:
            body["note"] = note
        revoked = operator.plane.post("agent-enrollment", "tokens", identifier, "revoke", body=body)
        if wait:
            revoked["job"] = job.follow(operator, str(revoked["job"]["job_id"]), timeout)
        _say_revoked(operator, identifier, revoked, as_json=as_json)
        job.check_done(revoked.get("job") or {})


def _explain(operator: Operator, minted: dict[str, Any], kept: Path | None) -> None:
    """Say what comes next, as lines that can be pasted; the secret is in none of them."""
    hosts = counted(int(minted["max_uses"]), "host")
    once = "" if kept else " The secret is shown this once."
    operator.screen.note(
        f"{minted['enrollment_token_id']}: for {hosts}, until {cell(minted['expires_at'])}.{once}"
    )
    script = f"curl -fsSL {shlex.quote(operator.url + '/install/install.sh')} | sudo bash"
    enroll = f"rollcall-agent enroll --url {shlex.quote(operator.url)}"
    if kept:
        # Absolute: the lines are pasted in another folder, or on another machine.
        file = shlex.quote(os.path.abspath(kept))  # noqa: PTH100 - a link in the path stays one
        operator.screen.note(
            "Next, on the host (on another machine: copy the file to the same place first):\n"
            f"  {script} -s -- --token-file {file}\n"
            "Where the agent is installed already:\n"
            f"  sudo {enroll} --token-file {file}"
        )
    else:
        operator.screen.note(
            "Next, on the host; it asks for the secret at the terminal:\n"
            f"  {script}\n"
            "Where the agent is installed already (paste the secret, then Enter and Ctrl-D):\n"
            f"  sudo {enroll} --token-stdin"
        )
    key = minted.get("agent_release_key_sha256")
    if key:
        operator.screen.note(f"What it installs is signed by the key {cell(key)} (SHA-256).")


def _say_revoked(
    operator: Operator, identifier: str, revoked: dict[str, Any], *, as_json: bool
) -> None:
    if as_json:
        show_one(operator, revoked, as_json=True)
        return
    operator.screen.result(f"{identifier} is revoked.")
    found = revoked.get("job")
    if not found:
        return
    job_id, status = found.get("job_id"), found.get("status")
    if status == "done":
        operator.screen.result(
            f"{job_id} is done: {counted(int(found.get('processed') or 0), 'agent')} revoked."
        )
    elif status != "failed":
        operator.screen.note(
            f"{job_id} revokes its agents. To wait for it: rollcall job wait {job_id}"
        )
