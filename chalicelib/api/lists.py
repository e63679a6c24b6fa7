"""Lists: which page a request asks for, the answer with the next cursor, and what it runs over."""

from typing import Any

import msgspec
from chalice import Response
from chalice.app import Request

from chalicelib import runtime
from chalicelib.api import cursors, requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.flows import environment_lists
from chalicelib.flows.environment_lists import Position
from chalicelib.store.organizations import OrganizationItem

LONGEST_PAGE = 100


class Paging(msgspec.Struct, frozen=True):
    """A page of a list, as it is asked for.

    Args:
        organization: the tenant that the cursor is bound to.
        listing: names the list that the cursor is bound to.
        given: the query, to which the cursor is bound, too.
        position: where the page begins; None for the first one.
        limit: the most rows that it may have.
    """

    organization: str
    listing: str
    given: dict[str, str]
    position: list[str] | None
    limit: int

    @property
    def after(self) -> str | None:
        """The row after which the page begins."""
        return self.position[-1] if self.position else None

    @property
    def start(self) -> Position | None:
        """The environment in which the page begins, and the row after which it does."""
        return Position(*self.position) if self.position else None

    def answer(
        self, name: str, rows: list[dict[str, Any]], following: Position | list[str] | str | None
    ) -> Response:
        """The page.

        Args:
            name: of the rows, in the answer.
            rows: as they look from outside.
            following: where the next page begins; None after the last one.
        """
        return answer({name: rows, "next_cursor": following and self._cursor(following)})

    def _cursor(self, following: Position | list[str] | str) -> str:
        if isinstance(following, Position):
            following = [following.environment, following.after]
        position = [following] if isinstance(following, str) else following
        keyring = runtime.current().keyring
        return cursors.encode(keyring, self.organization, self.listing, self.given, position)


def paging(
    request: Request, organization: str, listing: str, *filters: str, parts: int = 1
) -> Paging:
    """The page that a request asks for.

    Args:
        request: the request.
        organization: the tenant.
        listing: the list's name; a cursor of another one is refused.
        filters: the parameters that the list knows besides `limit` and `cursor`.
        parts: how many texts make a position.

    Raises:
        Malformed: another parameter, or a cursor that is not one of this very query.
    """
    given = requests.query(request, *filters, "limit", "cursor")
    keyring = runtime.current().keyring
    return Paging(
        organization=organization,
        listing=listing,
        given=given,
        position=cursors.decode(keyring, organization, listing, given, parts=parts),
        limit=requests.whole_number(given, "limit", default=50, least=1, most=LONGEST_PAGE),
    )


def environments(caller: Caller, given: dict[str, str]) -> list[str]:
    """The environments of a list: the one that the query names, or all, as far as visible.

    Another organization's environment is treated as one that is nowhere: an empty list.
    """
    row = caller.row if isinstance(caller.row, OrganizationItem) else None
    if "environment" in given:
        return environment_lists.visible(caller.operator, [] if row is None else [row])
    return environment_lists.visible(
        caller.operator, environment_lists.all_of(caller.origin.organization)
    )
