"""Members of the organization, and their roles."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rollcall_cli import surroundings
from rollcall_cli.completion import complete_project
from rollcall_cli.lists import show_list, show_one
from rollcall_cli.options import DEFAULT_LIMIT, All, AsJson, Cursor, Limit, Yes
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import Column

app = typer.Typer(no_args_is_help=True, help="See members, set their roles, remove them.")
Member = Annotated[str, typer.Argument(help="Username or id (usr_…).")]
Project = Annotated[
    str | None,
    typer.Option(
        "--project", "-p", help="In this project (name or id).", autocompletion=complete_project
    ),
]


@app.command("list")
def list_members(
    context: typer.Context,
    *,
    project: Project = None,
    limit: Limit = DEFAULT_LIMIT,
    everything: All = False,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List members, of the organization or of a project."""
    with surroundings.operator(context) as operator:
        page = operator.plane.page(
            *_within(operator, project), most=None if everything else limit, cursor=cursor
        )
        columns = [
            Column("USERNAME", "username"),
            Column("NAME", "display_name"),
            Column("USER", "user_id"),
            Column("ROLE", "role"),
            Column("STATUS", "status"),
        ]
        if project is None:
            columns.insert(4, Column("PROJECTS", lambda row: _projects(operator, row)))
        show_list(operator, page, columns, as_json=as_json)


@app.command("set-role")
def set_role(
    context: typer.Context,
    member: Member,
    role: Annotated[
        str,
        typer.Argument(help="org_admin, project_admin, operator or viewer; none takes it away."),
    ],
    *,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Set a member's role in the organization, or in a project."""
    with surroundings.operator(context) as operator:
        user = operator.names.member(member)
        if project is None:
            body: dict[str, Any] = {"role": None if role == "none" else role}
            changed = operator.plane.patch("members", user, body=body)
        elif role == "none":
            changed = operator.plane.delete(*_within(operator, project), user)
        else:
            changed = operator.plane.put(*_within(operator, project), user, body={"role": role})
        if as_json:
            show_one(operator, changed, as_json=True)
        else:
            where = f" in {project}" if project else ""
            operator.screen.result(f"{member} ({user}) has the role {role}{where}.")


@app.command()
def remove(
    context: typer.Context,
    member: Member,
    *,
    project: Project = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove a member: the next request of all their sessions and tokens here is refused."""
    with surroundings.operator(context) as operator:
        user = operator.names.member(member)
        where = f" from {project}" if project else ""
        operator.screen.confirm(f"Remove {member} ({user}){where}?", yes=yes)
        removed = operator.plane.delete(*_within(operator, project), user)
        _say(operator, removed, f"{member} ({user}) is removed{where}.", as_json=as_json)


@app.command()
def disable(
    context: typer.Context, member: Member, *, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Disable a person's account, which this organization made."""
    with surroundings.operator(context) as operator:
        user = operator.names.member(member)
        operator.screen.confirm(f"Disable {member} ({user})?", yes=yes)
        changed = operator.plane.post("members", user, "disable")
        _say(operator, changed, f"{member} ({user}) is disabled.", as_json=as_json)


@app.command()
def enable(context: typer.Context, member: Member, *, as_json: AsJson = False) -> None:
    """Enable a person's account again."""
    with surroundings.operator(context) as operator:
        user = operator.names.member(member)
        changed = operator.plane.post("members", user, "enable")
        _say(operator, changed, f"{member} ({user}) is enabled.", as_json=as_json)


def _within(operator: Operator, project: str | None) -> tuple[str, ...]:
    if project is None:
        return ("members",)
    return ("projects", operator.names.project(project), "members")


def _projects(operator: Operator, row: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON object
    roles = row.get("projects")
    found = roles if isinstance(roles, dict) else {}
    return {operator.names.title("projects", key): role for key, role in found.items()}


def _say(operator: Operator, answer: dict[str, Any], line: str, *, as_json: bool) -> None:
    if as_json:
        show_one(operator, answer, as_json=True)
    else:
        operator.screen.result(line)
