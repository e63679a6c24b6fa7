"""Whether a presence row lets a runtime key act: one fixed order of reasons for all routes."""

from chalicelib.errors import DomainError, Forbidden, NotFound, Unauthenticated, Unavailable
from chalicelib.store.agent_presence import (
    ENROLLED,
    OFFLINE,
    ONLINE,
    QUARANTINED,
    REVOKED,
    AgentPresenceItem,
)


def refusal(  # noqa: PLR0911 - one return a reason, in the order of the law
    row: AgentPresenceItem | None, key: bytes, scope: str
) -> DomainError | None:
    """Why this key may not act on this row, or None.

    Order: no row 404, key 401, revoked 401, quarantined 403, scope 403; a status that this code
    does not know is refused as our own fault.
    """
    if row is None:
        return NotFound("This agent does not exist.", code="agent_not_found")
    if key not in (row.key, row.pending_key):
        return Unauthenticated(
            "A newer runtime key of this agent has replaced this one.", code="key_superseded"
        )
    if row.status == REVOKED:
        return Unauthenticated("This agent was revoked.", code="key_revoked")
    if row.status == QUARANTINED:
        return Forbidden(
            "This agent is quarantined until an operator decides.", code="agent_quarantined"
        )
    if scope not in (row.scopes or ()):
        return Forbidden(f"The runtime key lacks the scope {scope}.", code="scope_missing")
    if row.status not in {ENROLLED, ONLINE, OFFLINE}:
        return Unavailable(
            "The agent's status is not known to this version.",
            code="status_unknown",
            cause=f"presence status {row.status!r}",
        )
    return None
