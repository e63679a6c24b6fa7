"""Calls to the control plane that are repeated where that is safe, and end in its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import quote

from rollcall_cli.advice import explain, refusal
from rollcall_cli.answers import Answer, NoAnswerError
from rollcall_cli.clock import Clock
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.http import Call, Connection
from rollcall_cli.screen import Screen
from rollcall_cli.text import sentence

LARGEST_PAGE: Final = 100
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0
# What says of itself that nothing was done; other failures leave open whether something was.
_NOTHING_DONE: Final = frozenset({"contention"})
_TOO_MANY: Final = 429
# Seconds. Less than this changes no decision that a person takes.
LARGEST_SKEW: Final = 60.0
SKEW: Final = "clock skew"


def api_path(*parts: str) -> str:
    """Return the path of a route; no part can leave its place."""
    return "/".join(["/api/v1", *(quote(part, safe="") for part in parts)])


@dataclass(frozen=True)
class Page:
    """Some of a list: its name, the items, and where it goes on."""

    name: str
    items: list[dict[str, Any]]
    next_cursor: str | None

    def document(self) -> dict[str, Any]:
        """The page as the API would answer it."""
        return {self.name: self.items, "next_cursor": self.next_cursor}


class ControlPlane:
    """What commands speak to.

    Args:
        connection: to the control plane.
        screen: takes the notes about waiting.
        clock: for waits and deadlines.
        patience: seconds to keep trying while it cannot answer.
        rng: spreads the waits of many scripts.
        warned: what this command has warned of, which is not said again.
    """

    def __init__(
        self,
        connection: Connection,
        screen: Screen,
        clock: Clock,
        patience: float,
        rng: Random,
        warned: set[str],
    ) -> None:
        self.connection = connection
        self._screen = screen
        self._clock = clock
        self._patience = patience
        self._rng = rng
        self._warned = warned

    def get(self, *parts: str, **query: str | None) -> dict[str, Any]:
        """Read one thing.

        Raises:
            CliError: it was refused, or no answer came.
        """
        return self.send(Call("GET", api_path(*parts), _given(query)))

    def post(self, *parts: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Do something that may be done twice."""
        return self.send(Call("POST", api_path(*parts), body=body or {}))

    def create(self, *parts: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Make something new, which is repeated only if it surely was not made."""
        return self.send(Call("POST", api_path(*parts), body=body), once=True)

    def patch(self, *parts: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Change something."""
        return self.send(Call("PATCH", api_path(*parts), body=body))

    def put(self, *parts: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Set something."""
        return self.send(Call("PUT", api_path(*parts), body=body))

    def delete(self, *parts: str) -> dict[str, Any]:
        """End something."""
        return self.send(Call("DELETE", api_path(*parts)))

    def page(
        self, *parts: str, most: int | None = None, cursor: str | None = None, **query: str | None
    ) -> Page:
        """Read a list, as far as it is wanted.

        Args:
            parts: of the path.
            most: how many items at most; all if left out.
            cursor: where an earlier answer said that it goes on.
            query: filters; those that are None are left out.
        """
        items: list[dict[str, Any]] = []
        while True:
            limit = LARGEST_PAGE if most is None else min(LARGEST_PAGE, most - len(items))
            answer = self.get(*parts, **query, limit=str(limit), cursor=cursor)
            name, found = _items(answer)
            items += found
            cursor = answer.get("next_cursor")
            if not cursor or (most is not None and len(items) >= most):
                return Page(name, items, cursor)

    def all(self, *parts: str, **query: str | None) -> list[dict[str, Any]]:
        """Read a whole list."""
        return self.page(*parts, most=None, cursor=None, **query).items

    def send(self, call: Call, *, once: bool = False) -> dict[str, Any]:
        """Send a request until there is an answer that lasts, or the patience is over.

        Args:
            call: the request.
            once: it must not be done twice: repeat it only where it surely was not done.

        Raises:
            CliError: it was refused, or no answer came.
        """
        deadline = self._clock.monotonic() + self._patience
        for attempt in _counting():
            left = deadline - self._clock.monotonic()
            try:
                answer = self.connection.send(call, max(left, 1.0))
            except NoAnswerError as failure:
                self._wait(failure, attempt, left, repeatable=not once or not failure.sent)
                continue
            self._warn_of_skew(answer)
            if answer.succeeded and answer.body is not None:
                return answer.body
            if not answer.is_transient:
                raise refusal(answer)
            self._wait(answer, attempt, left, repeatable=not once or _was_not_done(answer))
        raise AssertionError("unreachable: it counts without end")

    def _warn_of_skew(self, answer: Answer) -> None:
        """Say once a command that this machine's clock is wrong: what it counts from is, too."""
        skew = answer.clock_skew or 0.0
        if abs(skew) < LARGEST_SKEW or SKEW in self._warned:
            return
        self._warned.add(SKEW)
        way = "behind" if skew > 0 else "ahead of"
        self._screen.note(
            f"warning: this machine's clock is {_length(abs(skew))} {way} the control plane's. "
            "Lengths of time such as `--since 1h` count from it, and what it shows as past may "
            "be still to come. Next: set the clock."
        )

    def _wait(
        self, failure: NoAnswerError | Answer, attempt: int, left: float, *, repeatable: bool
    ) -> None:
        """Wait before the next attempt, or end the command."""
        if isinstance(failure, Answer):
            said, asked, code = explain(failure), failure.retry_after or 0.0, failure.code
        else:
            said, asked, code = sentence(f"No answer: {failure.reason}"), 0.0, None
        if not repeatable:
            raise CliError(
                f"{said}\nIt is not known whether this was done, so it is not repeated. "
                "Next: look at the list, then try again.",
                ExitCode.UNREACHABLE,
                code=code,
            )
        lasts = isinstance(failure, NoAnswerError) and failure.lasts
        if lasts or left <= 0 or asked > left:
            waits = f"\nIt asks to wait {asked:.0f} s." if asked > max(left, 0.0) else ""
            raise CliError(f"{said}{waits}", ExitCode.UNREACHABLE, code=code)
        ceiling = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempt, 16))
        # Jitter comes on top of Retry-After, or many scripts would return as one.
        delay = min(asked + self._rng.uniform(0.0, ceiling), left)
        self._screen.note(f"{said.splitlines()[0]} Trying again in {delay:.1f} s.")
        self._clock.sleep(delay)


def _length(seconds: float) -> str:
    """A length of time as people say it, in the largest unit of which there are two."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _was_not_done(answer: Answer) -> bool:
    return answer.status == _TOO_MANY or answer.code in _NOTHING_DONE


def _counting() -> Iterator[int]:
    attempt = 0
    while True:
        yield attempt
        attempt += 1


def _given(query: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}


def _items(answer: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The one list of an answer, and its name."""
    for name, value in answer.items():
        if isinstance(value, list):
            return name, value
    raise CliError("The answer holds no list.", ExitCode.UNREACHABLE)
