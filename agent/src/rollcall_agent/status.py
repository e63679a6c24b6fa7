"""What `status` knows: configuration, identity, reachability, last known state. No secrets."""

from __future__ import annotations

from dataclasses import dataclass

from rollcall_agent.answers import NoAnswerError
from rollcall_agent.client import Call, Caller
from rollcall_agent.exits import ExitCode
from rollcall_agent.last_state import recall
from rollcall_agent.settings import AGENT_ID, AGENT_KEY, IDEMPOTENCY_KEY, Settings

HEALTH_SECONDS = 10.0


@dataclass(frozen=True)
class Status:
    """How this host stands."""

    config: str
    url: str | None
    agent_id: str | None
    key_present: bool
    enrollment_interrupted: bool
    reachable: bool
    reachability: str
    last_state: dict[str, str] | None

    @property
    def exit_code(self) -> ExitCode:
        """What a script wants to know first."""
        if not self.agent_id or not self.key_present:
            return ExitCode.NOT_ENROLLED
        return ExitCode.OK if self.reachable else ExitCode.UNREACHABLE

    def lines(self) -> list[str]:
        """Describe it for a person."""
        state = self.last_state or {}
        lines = [
            f"config         {self.config}",
            f"control plane  {self.url or 'not configured'} ({self.reachability})",
            f"agent id       {self.agent_id or 'not enrolled'}",
            f"runtime key    {'present' if self.key_present else 'none'}",
        ]
        if self.enrollment_interrupted:
            lines.append("enrollment     interrupted; run enroll again with the same token")
        if state:
            since = state.get("since", "?")
            lines.append(f"last state     {state.get('state', '?')} since {since}")
            lines.append(f"               {state.get('detail', '')}".rstrip())
        return lines


def inspect(settings: Settings, url: str | None, plane: Caller | None) -> Status:
    """Gather the status; ``plane`` is None where no usable URL is configured."""
    identity = settings.identity()
    agent_id = identity.agent_id if identity else settings.value(AGENT_ID)
    reachable, reachability = _reach(plane)
    return Status(
        config=str(settings.path),
        url=url,
        agent_id=agent_id,
        key_present=identity is not None or settings.value(AGENT_KEY) is not None,
        enrollment_interrupted=settings.file.get(IDEMPOTENCY_KEY) is not None,
        reachable=reachable,
        reachability=reachability,
        last_state=recall(settings.state_file(), agent_id),
    )


def _reach(plane: Caller | None) -> tuple[bool, str]:
    if plane is None:
        return False, "not reachable"
    try:
        answer = plane.call(Call("GET", "/healthz", timeout=HEALTH_SECONDS))
    except NoAnswerError as failure:
        return False, f"not reachable: {failure.reason}"
    if answer.status == 200 and answer.text("status") == "ok":  # noqa: PLR2004
        return True, "reachable"
    return False, f"not healthy: HTTP {answer.status}"
