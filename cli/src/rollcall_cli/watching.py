"""Watching hosts come online: what is asked, what is said, when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from rollcall_cli.clock import rfc3339
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.quarantines import why_quarantined
from rollcall_cli.surroundings import Operator
from rollcall_cli.tables import as_line, cell
from rollcall_cli.text import clean
from rollcall_cli.waiting import Waiting

ONLINE: Final = "online"
QUARANTINED: Final = "quarantined"
_ENDED: Final = frozenset({"revoked"})
Tell = Callable[[str], None]


class Hosts:
    """The agents that are watched, and how each was when it was last looked at."""

    def __init__(self, operator: Operator, tell: Tell, *, as_json: bool) -> None:
        self._operator = operator
        self._tell = tell
        self._as_json = as_json
        self._status: dict[str, str] = {}

    def saw(self, agent: dict[str, Any]) -> bool:
        """Tell of an agent if it changed; whether it did.

        Raises:
            CliError: it will never come online.
        """
        agent_id, status = str(agent["agent_id"]), str(agent["status"])
        before = self._status.get(agent_id)
        self._status[agent_id] = status
        if status == before:
            return False
        name = clean(str(agent.get("name")), 80)
        if self._as_json:
            self._tell(as_line(agent))
        else:
            why = why_quarantined(agent) if status == QUARANTINED else None
            change = (status if before is None else f"{before} -> {status}") + (
                f" {why}" if why else ""
            )
            time = cell(rfc3339(self._operator.clock.now()))
            self._tell(f"{time}  {name}  {agent_id}  {change}")
        if status in _ENDED:
            raise CliError(f"{name} ({agent_id}) is {status}.", ExitCode.ENDED_BADLY)
        return True

    def look(self) -> bool:
        """Look at every agent that is not online yet; whether one changed."""
        moved = [
            self.saw(self._operator.plane.get("agents", agent_id)) for agent_id in self.missing
        ]
        return any(moved)

    @property
    def missing(self) -> list[str]:
        """Those that are not online."""
        return [agent_id for agent_id, status in self._status.items() if status != ONLINE]

    @property
    def online(self) -> int:
        """How many are online."""
        return len(self._status) - len(self.missing)

    def __len__(self) -> int:
        """How many are known."""
        return len(self._status)


def watch_agents(
    operator: Operator,
    wanted: Iterable[str],
    environment: str | None,
    hosts: Hosts,
    waiting: Waiting,
) -> None:
    """Return when every agent is online.

    Args:
        operator: who watches.
        wanted: ids and names; a name may be one that no agent has yet.
        environment: where the names are looked for.
        hosts: what is known of them.
        waiting: how long.

    Raises:
        CliError: time is over, an id is unknown, or an agent is revoked.
    """
    names = []
    for text in dict.fromkeys(wanted):
        if text.startswith("agt_"):
            hosts.saw(operator.plane.get("agents", operator.names.agent(text)))
        else:
            names.append(text)
    while True:
        for name in list(names):
            agent = operator.names.find_agent(name, environment)
            # A revoked agent's name is free: it is the next one that is waited for.
            if agent is not None and agent.get("status") not in _ENDED:
                names.remove(name)
                hosts.saw(agent)
                waiting.hurry()
        if not names and not hosts.missing:
            return
        if not waiting.another_round():
            raise _timed_out([*names, *hosts.missing])
        if hosts.look():
            waiting.hurry()


def watch_token(operator: Operator, token: dict[str, Any], hosts: Hosts, waiting: Waiting) -> None:
    """Return when as many agents of a token are online as it has uses.

    The token is asked how many uses are spent; agents are listed only when these grew.

    Raises:
        CliError: time is over, the token ended, or an agent is revoked.
    """
    token_id, wanted = str(token["enrollment_token_id"]), int(token["max_uses"])
    attempts = Attempts(operator, token_id)
    while True:
        if len(hosts) < wanted:
            now = operator.plane.get("agent-enrollment", "tokens", token_id)
            if int(now["uses"]) > len(hosts):
                listed = operator.plane.all("agents", environment=str(now["environment"]))
                mine = [row for row in listed if row.get("enrollment_token_id") == token_id]
                moved = [hosts.saw(agent) for agent in mine]
                if any(moved):
                    waiting.hurry()
            elif now["status"] != "active":
                raise CliError(f"{token_id} is {now['status']}.", ExitCode.ENDED_BADLY)
            attempts.tell_new()
        if hosts.online >= wanted:
            return
        if not waiting.another_round():
            missing = hosts.missing or [f"{wanted - len(hosts)} more of {token_id}"]
            raise _timed_out(missing)
        if hosts.look():
            waiting.hurry()


class Attempts:
    """Refused attempts at a token: the reason why a host does not come online."""

    def __init__(self, operator: Operator, token_id: str) -> None:
        self._operator = operator
        self._token_id = token_id
        self._seen: set[str] = set()
        self._asks = True

    def tell_new(self) -> None:
        """Say which are new. A credential that may mint need not be one that may read these."""
        if not self._asks:
            return
        try:
            found = self._operator.plane.page(
                "agent-enrollment", "attempts", most=20, enrollment_token_id=self._token_id
            ).items
        except CliError as error:
            if error.exit_code is ExitCode.UNREACHABLE:
                raise
            self._asks = False
            return
        for attempt in reversed(found):
            mark = f"{attempt.get('time')} {attempt.get('request_id')} {attempt.get('count')}"
            if mark not in self._seen:
                self._seen.add(mark)
                self._operator.screen.note(
                    f"{cell(attempt.get('time'))}  refused: {cell(attempt.get('reason'))}"
                    f"  from {cell(attempt.get('source_address'))}"
                    f"  ({cell(attempt.get('claimed'))})"
                )


def _timed_out(missing: list[str]) -> CliError:
    names = ", ".join(clean(name, 80) for name in missing)
    return CliError(f"Not online in time: {names}.", ExitCode.TIMED_OUT)
