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


class AgentFactsChanged(Detail, frozen=True, kw_only=True):
    """What a host says about itself is not what it was.

    `paths` are the first of `changed` places that differ; no value is told.
    """

    NAME = "agent.facts_changed"
    agent_id: str
    facts_sha256: str
    previous_facts_sha256: str | None
    changed: int
    paths: tuple[str, ...] = ()


class AgentReplaced(Detail, frozen=True, kw_only=True):
    """A former identity of a host ended in favour of a new one.

    `reason` is `machine` (an exchange whose token allows it, and the former agent was silent),
    `operator` (one confirmed it) or `agent` (the host had enrolled again, and held both keys).
    """

    NAME = "agent.replaced"
    agent_id: str
    former_agent_id: str
    former_name: str
    reason: str
    token_id: str | None = None
    note: str | None = None


class AgentDecommissioned(Detail, frozen=True, kw_only=True):
    """An agent's identity ended for good, and it left the lists."""

    NAME = "agent.decommissioned"
    agent_id: str
    note: str | None = None


class AgentReleased(Detail, frozen=True, kw_only=True):
    """An operator decided about a quarantined agent.

    `decision` is `keep` or `split`; with `split`, `instance` is the fingerprint of the copy that is
    to take an identity of its own.
    """

    NAME = "agent.released"
    agent_id: str
    decision: str
    instance: str | None = None
    note: str | None = None


class AgentSplit(Detail, frozen=True, kw_only=True):
    """A copy of an agent took an identity of its own, whose enrollment has a record of its own."""

    NAME = "agent.split"
    agent_id: str
    new_agent_id: str
    instance: str


class AgentKeyRotated(Detail, frozen=True, kw_only=True):
    """An agent asked for a new runtime key. The one before lives until the new one's first use."""

    NAME = "agent.key_rotated"
    agent_id: str
    runtime_key_sha256: str
    runtime_key_expires_at: str


class AgentKeyRotationRequested(Detail, frozen=True, kw_only=True):
    """An operator wants an agent to have a new runtime key."""

    NAME = "agent.key_rotation_requested"
    agent_id: str
