"""One route, as the tests know it: where identifiers stand, and what a good request is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chalicelib.api import access
from chalicelib.api.access import ORGANIZATION_KEY, Access
from tests.functional.gateway import Sent
from tests.functional.world import World

Body = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Who may call it stands in `access.ROUTES`, and is not said again here.

    Args:
        kind: the structure of the body, where there is one.
        body: a good body.
        query: the parameters that are known.
        ids_in_query: those of them that name something, with the prefix of what they name.
        ids_in_body: the same for members of the body.
        ends: whether a good request ends what others need, so that a test which sends one must
            have a world of its own.
        answers: with what a good request is answered.
        headers: that a good request has besides.
    """

    method: str
    path: str
    kind: type[msgspec.Struct] | None = None
    body: Body | None = None
    body_is_optional: bool = False
    query: tuple[str, ...] = ()
    ids_in_query: dict[str, str] = field(default_factory=dict)
    ids_in_body: dict[str, str] = field(default_factory=dict)
    ends: bool = False
    answers: tuple[int, ...] = (200, 201, 202)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def access(self) -> Access:
        """The route's row in the table of who may call it."""
        return access.ROUTES[str(self)]

    @property
    def families(self) -> tuple[str, ...]:
        """The prefixes that are admitted; none where no credential is asked for."""
        return self.access.families

    @property
    def scope(self) -> str | None:
        """What an organization key needs; None where none is admitted."""
        return self.access.scope if ORGANIZATION_KEY in self.families else None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the identifiers in the path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def is_list(self) -> bool:
        return "cursor" in self.query

    @property
    def usual_family(self) -> str:
        """The family of a good request: automation's where that is admitted."""
        return ORGANIZATION_KEY if ORGANIZATION_KEY in self.families else self.families[0]

    def request(self, world: World, **changed: Any) -> Sent:
        """A good request, but for what is changed."""
        headers = {"content-type": "application/json", **self.headers}
        if self.families:
            headers["authorization"] = f"Bearer {world.credential(self.usual_family)}"
        sent = Sent(
            self.method,
            self.path,
            {name: world.parameters[name] for name in self.parameters},
            headers=headers,
            body=msgspec.json.encode(self.body(world)).decode() if self.body else None,
        )
        for name, value in changed.items():
            setattr(sent, name, value)
        return sent
