"""The events of an agent's life after its enrollment. Members are append-only."""

from chalicelib.evidence.events import Detail


class AgentQuarantined(Detail, frozen=True, kw_only=True):
    """An agent may do nothing until an operator decides.

    `reason` is `clone` (two copies of it run) or `operator`; `instances` are the fingerprints of
    the processes of which that was noticed.
    """

    NAME = "agent.quarantined"
    agent_id: str
    reason: str
    instances: tuple[str, ...] = ()
    note: str | None = None
