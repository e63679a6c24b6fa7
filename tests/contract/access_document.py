"""Makes `docs/access.md` from the tables in the code: `make schemas` writes it anew."""

from pathlib import Path

from chalicelib.api.access import ROUTES, Access
from chalicelib.credentials.organization_key import SCOPES
from chalicelib.permissions import MATRIX, Permission, Role

DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
_FAMILIES = {
    "rcs_": "session",
    "rcp_": "personal token",
    "rco_": "organization key",
    "rce_": "enrollment token",
    "rca_": "runtime key",
}
_INTRODUCTION = """\
# Who may do what

This page is made from the tables in the code (`chalicelib/permissions.py` and
`chalicelib/api/access.py`) by `make schemas`; a test compares it, and another one calls every route
with every family of credential and every role and compares the outcome with the same tables.

A person's role comes from a membership, in the organization or in one of its projects. Three rules
say which one counts:

1. An `org_admin` holds every permission, whatever a project's membership says.
2. Without a role in the project, the role in the organization counts; with one, only that one does.
3. A permission on an environment also needs the permission to view its project.

Organization keys and personal API tokens have scopes: {scopes}. A key with
the scope may do it in the whole organization; a personal token never gives more than its person
may. A route without a scope takes neither, or asks for none.

What a caller may not even see is answered like what does not exist: 404. What may be seen and not
done is 403 `permission_missing` (with `permission`), a missing scope 403 `scope_missing`, another
family of credential 401 `wrong_credential_family`.
"""


def render() -> str:
    """The whole page."""
    return f"{_introduction()}\n{_matrix()}\n{_routes()}"


def _introduction() -> str:
    return _INTRODUCTION.format(scopes=", ".join(f"`{scope}`" for scope in sorted(SCOPES)))


def _matrix() -> str:
    head = ["## Roles\n", "| permission | " + " | ".join(f"`{role}`" for role in Role) + " |"]
    head.append("|---" * (len(Role) + 1) + "|")
    rows = [
        f"| {permission} | "
        + " | ".join("yes" if permission in MATRIX[role] else "" for role in Role)
        + " |"
        for permission in Permission
    ]
    return "\n".join([*head, *rows, ""])


def _routes() -> str:
    head = [
        "## Routes\n",
        "| route | credential | scope | permission | on |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(name, access) for name, access in ROUTES.items()), ""])


def _row(name: str, access: Access) -> str:
    families = ", ".join(_FAMILIES[family] for family in access.families) or "none"
    route = f"`{name}`, `HEAD`" if access.head else f"`{name}`"
    cells = (route, families, access.scope or "", access.permission or "", _place(access))
    return "| " + " | ".join(cells) + " |"


def _place(access: Access) -> str:
    if access.permission is None:
        return ""
    if access.anywhere:
        return "what may be seen"
    return access.place.kind.replace("_", " ") if access.place is not None else "organization"


if __name__ == "__main__":
    DOCUMENT.write_text(render(), "utf-8")
