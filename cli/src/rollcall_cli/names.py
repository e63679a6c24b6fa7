"""From what people write to identifiers: either is taken, where it means one thing."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

from rollcall_cli.control_plane import ControlPlane
from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.text import clean

_BODY: Final = "[0-9a-v]{20}"
_SHOWN: Final = 5
_EXACT: Final = "exact_name"
_ENDED: Final = frozenset({"revoked", "expired", "deleted"})


def is_id(kind: str, text: str) -> bool:
    """Whether a text is an identifier of a kind, as in `agt_…`."""
    return re.fullmatch(f"{kind}_{_BODY}", text) is not None


class Names:
    """Looks names up, each list at most once a command."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._lists: dict[str, list[dict[str, Any]]] = {}

    def organization(self, text: str) -> str:
        """The id of an organization."""
        return self._find("organizations", "org", text, "organization_id")

    def project(self, text: str) -> str:
        """The id of a project."""
        return self._find("projects", "prj", text, "project_id")

    def environment(self, text: str) -> str:
        """The id of an environment: its id, its name, or `project/name` where that is needed."""
        if is_id("env", text):
            return text
        rows = self._rows("environments")
        called = _called(rows, text)
        project, separator, name = text.rpartition("/")
        if not called and separator:
            within = self.project(project)
            called = [row for row in _called(rows, name) if row.get("project") == within]
        return _only("environment", text, called, "environment_id")

    def key(self, text: str) -> str:
        """The id of an organization key."""
        return self._find("organization-keys", "key", text, "organization_key_id")

    def personal_token(self, text: str) -> str:
        """The id of a personal API token."""
        if is_id("pat", text):
            return text
        rows = self._plane.all("me", "tokens")
        return _only("personal API token", text, _called(rows, text), "personal_token_id")

    def member(self, text: str) -> str:
        """The id of a member, by username."""
        if is_id("usr", text):
            return text
        rows = _spelled(self._rows("members"), "username", text)
        return _only("member", text, rows, "user_id")

    def agent(self, text: str, environment: str | None = None) -> str:
        """The id of an agent."""
        if is_id("agt", text):
            return text
        row = self.find_agent(text, environment)
        if row is None:
            raise _unknown("agent", text)
        return str(row["agent_id"])

    def find_agent(self, name: str, environment: str | None = None) -> dict[str, Any] | None:
        """The agent of a name, or None; a revoked one counts if no other has the name.

        Raises:
            CliError: several have it.
        """
        found = _called(self._agents_called(name, environment), name)
        if len(found) > 1:
            raise _ambiguous("agent", name, found, "agent_id")
        return found[0] if found else None

    def _agents_called(self, name: str, environment: str | None) -> list[dict[str, Any]]:
        """One question, however many environments there are."""
        try:
            return self._plane.all("agents", exact_name=name, environment=environment)
        except CliError as error:
            # A control plane from before that question lists the names that begin so.
            if error.code != "query_invalid" or _EXACT not in error.line:
                raise
            return self._plane.all("agents", name=name, environment=environment)

    def title(self, collection: str, identifier: object) -> str:
        """An id's name for a table; the id itself where the name cannot be had.

        A credential that may list agents need not be one that may list environments.
        """
        try:
            rows = self._rows(collection)
        except CliError:
            rows = self._lists[collection] = []
        member = f"{collection.removesuffix('s')}_id"
        for row in rows:
            if row.get(member) == identifier:
                return str(row.get("name"))
        return str(identifier)

    def _find(self, collection: str, kind: str, text: str, member: str) -> str:
        if is_id(kind, text):
            return text
        noun = collection.removesuffix("s").replace("-", " ")
        return _only(noun, text, _called(self._rows(collection), text), member)

    def _rows(self, collection: str) -> list[dict[str, Any]]:
        if collection not in self._lists:
            self._lists[collection] = self._plane.all(collection)
        return self._lists[collection]


def token_id(text: str) -> str:
    """The id of an enrollment token, checked: a secret must never stand on a command line.

    Raises:
        CliError: it is something else.
    """
    return checked_id("tok", text, "an enrollment token's id (tok_…), see `rollcall token list`")


def checked_id(kind: str, text: str, what: str) -> str:
    """An identifier of a kind that has no names; the text of another one is not repeated.

    Raises:
        CliError: it is something else.
    """
    if not is_id(kind, text):
        raise usage(f"Give {what}.")
    return text


def _folded(text: object) -> str:
    """What the control plane compares names by: no case, one spelling, no blanks around it."""
    blanks = (" " if unicodedata.category(sign) == "Zs" else sign for sign in str(text))
    decomposed = unicodedata.normalize("NFD", "".join(blanks).strip(" "))
    return unicodedata.normalize("NFC", decomposed.casefold())


def _spelled(rows: list[dict[str, Any]], member: str, text: str) -> list[dict[str, Any]]:
    """The rows with a text in one spelling or another; those that are spelled so go first.

    Names of before the control plane compared them so may differ by spelling alone.
    """
    same = [row for row in rows if _folded(row.get(member)) == _folded(text)]
    return [row for row in same if row.get(member) == text] or same


def _called(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows of a name; what has ended counts only if nothing that lives is called so."""
    called = _spelled(rows, "name", name)
    return [row for row in called if row.get("status") not in _ENDED] or called


def _only(noun: str, text: str, rows: list[dict[str, Any]], member: str) -> str:
    if not rows:
        raise _unknown(noun, text)
    if len(rows) > 1:
        raise _ambiguous(noun, text, rows, member)
    return str(rows[0][member])


def _unknown(noun: str, text: str) -> CliError:
    return CliError(f"There is no {noun} called {clean(text, 80)}.", ExitCode.NOT_FOUND)


def _ambiguous(noun: str, text: str, rows: list[dict[str, Any]], member: str) -> CliError:
    ids = ", ".join(clean(str(row.get(member)), 40) for row in rows[:_SHOWN])
    more = ", …" if len(rows) > _SHOWN else ""
    article = "an" if noun[0] in "aeiou" else "a"
    return usage(
        f"{len(rows)} {noun}s are called {clean(text, 80)}: {ids}{more}.\n"
        f"Next: name {article} {noun} by its id"
        + (", or give --environment." if noun == "agent" else ".")
    )
