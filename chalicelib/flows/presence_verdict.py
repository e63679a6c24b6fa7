"""Whether a presence row lets a runtime key act: one fixed order of reasons for all routes."""

from chalicelib.errors import (
    Conflict,
    DomainError,
    Forbidden,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from chalicelib.store import instances
from chalicelib.store.agent_presence import (
    ENROLLED,
    OFFLINE,
    ONLINE,
    QUARANTINED,
    REVOKED,
    AgentPresenceItem,
)

BY_OPERATOR = "operator"
BY_COPY = "clone"
_WHY = {
    BY_OPERATOR: "An operator has quarantined this agent.",
    BY_COPY: "Two copies of this agent are running: it is quarantined until an operator decides.",
}
_KNOWN = {ENROLLED, ONLINE, OFFLINE, QUARANTINED}


def refusal(  # noqa: PLR0911 - one return a reason, in the order of the law
    row: AgentPresenceItem | None,
    key: bytes,
    scope: str,
    *,
    copy: str | None = None,
    while_quarantined: bool = False,
) -> DomainError | None:
    """Why this key may not act on this row, or None.

    Order: no row 404, key 401, revoked 401, quarantined 403, scope 403; a status that this code
    does not know is refused as our own fault.

    Args:
        row: the agent's presence.
        key: hash of the key that was shown.
        scope: what it must be good for.
        copy: the instance that shows it. If it is the one that is to take an identity of its own,
            a key that was good when that was decided is good enough to be told so.
        while_quarantined: whether this may be done by a quarantined agent, too.
    """
    if row is None:
        return NotFound("This agent does not exist.", code="agent_not_found")
    if key not in (row.key, row.pending_key) and not _is_of_a_copy(row, key, copy):
        return Unauthenticated(
            "A newer runtime key of this agent has replaced this one.", code="key_superseded"
        )
    if row.status == REVOKED:
        return Unauthenticated("This agent was revoked.", code="key_revoked")
    if row.status == QUARANTINED and not while_quarantined:
        return quarantined(row.quarantine_reason)
    if scope not in (row.scopes or ()):
        return Forbidden(f"The runtime key lacks the scope {scope}.", code="scope_missing")
    if row.status not in _KNOWN:
        return Unavailable(
            "The agent's status is not known to this version.",
            code="status_unknown",
            cause=f"presence status {row.status!r}",
        )
    return None


def _is_of_a_copy(row: AgentPresenceItem, key: bytes, copy: str | None) -> bool:
    return (
        copy is not None
        and instances.is_to_split(row, copy)
        and instances.was_good_at_split(row, key)
    )


def quarantined(reason: str | None) -> Forbidden:
    """What is told to an agent that an operator has to decide about.

    Args:
        reason: as the row has it; None where it was quarantined before rows had it.
    """
    said = _WHY.get(reason or "", "This agent is quarantined until an operator decides.")
    extra = {"quarantine_reason": reason} if reason in _WHY else None
    return Forbidden(said, code="agent_quarantined", extra=extra)


def refuse_what_is_to_split(row: AgentPresenceItem, instance: str | None) -> None:
    """Send the copy that is to take an identity of its own there; it does not act for the other.

    Once that was decided, whoever does not say which copy it is may be that one.

    Raises:
        Conflict: `agent_split`.
    """
    if row.split is not None and (instance is None or instances.is_to_split(row, instance)):
        raise Conflict(
            "This copy of the agent is to take an identity of its own.", code="agent_split"
        )
