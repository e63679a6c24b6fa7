"""What `status` knows: configuration, identity, what that is good for, last state. No secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollcall_agent.advice import explain, quarantine_reason
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.exits import ExitCode
from rollcall_agent.last_state import recall
from rollcall_agent.secret import Secret
from rollcall_agent.settings import AGENT_ID, AGENT_KEY, IDEMPOTENCY_KEY, Identity, Settings

HEALTH_SECONDS = 10.0
ACCEPTED: Final = "accepted"
ENDED: Final = "ended"
QUARANTINED: Final = "quarantined"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"
UNCONFIGURED: Final = "not configured"
UNUSABLE: Final = "not asked: the URL cannot be used"
# An artifact that no agent has: to be told so, the key must be good. Nothing changes by asking.
_NO_ARTIFACT: Final = "art_" + "0" * 20
# Of these codes the control plane has looked at the key first, and found it good.
_KEY_IS_GOOD: Final = frozenset({"artifact_not_found", "not_active", "scope_missing"})


@dataclass(frozen=True)
class Status:
    """How this host stands.

    Attributes:
        standing: What the control plane says of the identity: `accepted`, `ended`, `quarantined`,
            `refused`, or `unknown` where it said nothing.
        why: That in words; empty where there is nothing to say.
    """

    config: str
    url: str | None
    agent_id: str | None
    key_present: bool
    enrollment_interrupted: bool
    reachable: bool
    reachability: str
    last_state: dict[str, str] | None
    standing: str = UNKNOWN
    why: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """What a script wants to know first."""
        if not self.agent_id or not self.key_present:
            return ExitCode.NOT_ENROLLED
        if self.standing == ENDED:
            return ExitCode.IDENTITY_ENDED
        if self.standing in {QUARANTINED, REFUSED}:
            return ExitCode.REFUSED
        # Reachable, and no usable answer about the identity: whether it is good is not known.
        is_known = self.reachable and self.standing != UNKNOWN
        return ExitCode.OK if is_known else ExitCode.UNREACHABLE

    def lines(self) -> list[str]:
        """Describe it for a person."""
        state = self.last_state or {}
        reached = f"{self.url} ({self.reachability})" if self.url else self.reachability
        lines = [
            f"config         {self.config}",
            f"control plane  {reached}",
            f"agent id       {self.agent_id or 'not enrolled'}",
            f"runtime key    {'present' if self.key_present else 'none'}",
        ]
        if self.standing != UNKNOWN or self.reachable:
            lines.append(f"identity       {self.standing}")
        if self.why:
            lines.append(f"               {self.why}")
        if self.enrollment_interrupted:
            lines.append("enrollment     interrupted; run enroll again with the same token")
        if state:
            since = state.get("since", "?")
            lines.append(f"last state     {state.get('state', '?')} since {since}")
            lines.append(f"               {state.get('detail', '')}".rstrip())
        return lines


def inspect(
    settings: Settings, url: str | None, plane: Caller | None, *, url_is_given: bool = False
) -> Status:
    """Gather the status.

    Args:
        settings: those of this host.
        url: of the control plane; None where there is none that can be used.
        plane: is None there, too.
        url_is_given: whether one was given on the command line.
    """
    identity = settings.identity()
    agent_id = identity.agent_id if identity else settings.value(AGENT_ID)
    is_there = url_is_given or settings.names_a_url
    reachable, reachability = _reach(plane, UNUSABLE if is_there else UNCONFIGURED)
    last_state = recall(settings.state_file(), agent_id)
    standing, why = UNKNOWN, ""
    if identity is not None and plane is not None and reachable:
        standing, why = _ask(plane, identity)
    if standing == UNKNOWN and (last_state or {}).get("state") == ENDED:
        # What the control plane said when it last spoke is not taken back.
        standing, why = ENDED, (last_state or {}).get("detail", "")
    return Status(
        config=str(settings.path),
        url=url,
        agent_id=agent_id,
        key_present=identity is not None or settings.value(AGENT_KEY) is not None,
        enrollment_interrupted=settings.file.get(IDEMPOTENCY_KEY) is not None,
        reachable=reachable,
        reachability=reachability,
        last_state=last_state,
        standing=standing,
        why=why,
    )


def _ask(plane: Caller, identity: Identity) -> tuple[str, str]:
    """Ask what the identity is good for, by the other key of a rotation too."""
    standing, why = _ask_by(plane, identity.agent_id, identity.key)
    if standing in {ENDED, REFUSED} and identity.other is not None:
        by_other = _ask_by(plane, identity.agent_id, identity.other)
        # Both must have ended: of two keys one is good, until the control plane says otherwise.
        return by_other if standing == ENDED or by_other[0] != ENDED else (standing, why)
    return standing, why


def _ask_by(plane: Caller, agent_id: str, key: Secret) -> tuple[str, str]:
    path = agent_path(agent_id, "artifacts", _NO_ARTIFACT)
    try:
        answer = plane.call(Call("GET", path, bearer=key, timeout=HEALTH_SECONDS))
    except NoAnswerError:
        return UNKNOWN, ""
    return _standing(answer)


def _standing(answer: Answer) -> tuple[str, str]:
    if answer.is_transient or answer.code is None:
        return UNKNOWN, ""
    if answer.code in _KEY_IS_GOOD:
        return ACCEPTED, ""
    if answer.ends_identity:
        return ENDED, explain(answer)
    if answer.code == "agent_quarantined":
        by = {"operator": " by an operator", "clone": " because two copies of it run"}
        why = f"Quarantined{by.get(quarantine_reason(answer) or '', '')}. {explain(answer)}"
        return QUARANTINED, why
    return REFUSED, explain(answer)


def _reach(plane: Caller | None, else_: str) -> tuple[bool, str]:
    if plane is None:
        return False, else_
    try:
        answer = plane.call(Call("GET", "/healthz", timeout=HEALTH_SECONDS))
    except NoAnswerError as failure:
        return False, f"not reachable: {failure.reason}"
    if answer.status == 200 and answer.text("status") == "ok":  # noqa: PLR2004
        return True, "reachable"
    return False, f"not healthy: HTTP {answer.status}"
