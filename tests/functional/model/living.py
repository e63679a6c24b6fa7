"""Quarantine, release and rotation, as law 5 and decision 24 have them."""

from dataclasses import dataclass

from tests.functional.api import Answer
from tests.functional.model.operations import Live, Operation
from tests.functional.model.state import CREATED, KEY_MS, OK, Key, State, Verdict, due_after

_SHORTEST_MS = 60_000


@dataclass(frozen=True)
class Quarantine(Operation):
    """An operator, perhaps another tenant's, stops an agent."""

    by: str
    agent: str

    def send(self, live: Live) -> Answer:
        return live.tenants[self.by].call("POST", f"/agents/{self.agent}/quarantine")

    def verdict(self, state: State) -> Verdict:
        agent = state.agents[self.agent]
        if agent.organization != self.by:
            return 404, "agent_not_found"
        return OK if agent.lives else (409, "agent_revoked")

    def take(self, state: State, answer: Answer) -> bool:
        agent = state.agents[self.agent]
        if answer.status == 200 and agent.status != "quarantined":
            standing = agent.seen_as(state.now)
            agent.was = "online" if standing == "late" else standing
            agent.status, agent.due, agent.released = "quarantined", None, False
            state.happened("agent.quarantined", self.by, self.agent)
        return True


@dataclass(frozen=True)
class Release(Operation):
    """An operator lets a quarantined agent go on."""

    by: str
    agent: str

    def send(self, live: Live) -> Answer:
        path = f"/agents/{self.agent}/release"
        return live.tenants[self.by].call("POST", path, {"decision": "keep"})

    def verdict(self, state: State) -> Verdict:
        agent = state.agents[self.agent]
        if agent.organization != self.by:
            return 404, "agent_not_found"
        if not agent.lives:
            return 409, "agent_revoked"
        return OK if agent.status == "quarantined" or agent.released else (409, "not_quarantined")

    def take(self, state: State, answer: Answer) -> bool:
        agent = state.agents[self.agent]
        if answer.status == 200 and agent.status == "quarantined":
            agent.status, agent.released = agent.was or "offline", True
            agent.released_at = state.now
            if agent.status == "online":
                agent.due = due_after(state.now)
            state.happened("agent.released", self.by, self.agent)
        return True


@dataclass(frozen=True)
class Rotate(Operation):
    """An agent asks for a new key."""

    agent: str
    key: Key

    def send(self, live: Live) -> Answer:
        path = f"/api/v1/agents/{self.agent}/runtime-key/rotate"
        return live.api.call("POST", path, credential=self.key.raw)

    def verdict(self, state: State) -> Verdict:
        agent = state.agents[self.agent]
        refused = agent.verdict(self.key, state.now)
        may = agent.last_seen is not None and not agent.is_pending(self.key)
        if refused is not None and not (refused == (403, "agent_quarantined") and may):
            return refused
        if agent.status == "enrolled":
            return 409, "not_active"
        if agent.rotated_at is not None and agent.rotated_at + _SHORTEST_MS > state.now:
            return 429, "rotation_too_soon"
        return CREATED

    def take(self, state: State, answer: Answer) -> bool:
        if answer.status != 201:
            return True
        agent = state.agents[self.agent]
        agent.use(self.key)
        if agent.pending is not None:
            agent.old_keys.append(agent.pending)
        agent.pending = Key(answer.body["runtime_key"], state.now + KEY_MS)
        agent.rotated_at = state.now
        state.happened("agent.key_rotated", agent.organization, agent.id)
        return True
