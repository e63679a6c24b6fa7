"""Whether a runtime key may act on an agent's routes other than the heartbeat."""

from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.errors import Conflict
from chalicelib.flows import presence_verdict
from chalicelib.store import agent_presence
from chalicelib.store.agent_presence import ENROLLED, AgentPresenceItem


def authorize(
    claims: RuntimeClaims, scope: str, *, while_quarantined: bool = False
) -> AgentPresenceItem:
    """The agent's presence row, strongly read, if its key may use the scope.

    Raises:
        DomainError: in the order of a heartbeat's reasons.
        Conflict: the agent has not beaten yet: `not_active`.
    """
    row = agent_presence.find(claims.organization, claims.agent)
    reason = presence_verdict.refusal(
        row, claims.digest, scope, while_quarantined=while_quarantined
    )
    if reason is not None or row is None:
        raise reason or AssertionError("a missing row has a reason")
    if row.status == ENROLLED:
        raise Conflict("The agent becomes active with its first heartbeat.", code="not_active")
    return row
