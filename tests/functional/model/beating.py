"""Heartbeats and the presence sweep, as laws 2 and 8 have them."""

from dataclasses import dataclass

from chalicelib import workers
from tests.functional.api import Answer
from tests.functional.model.operations import Live, Operation
from tests.functional.model.state import (
    BUCKET_SECONDS,
    OK,
    SHORTEST_MS,
    Agent,
    Key,
    State,
    Verdict,
    due_after,
)


@dataclass(frozen=True)
class Beat(Operation):
    """A heartbeat under a key that the agent has or had."""

    agent: str
    key: Key
    instance: str
    sequence: int
    nonce: str

    def send(self, live: Live) -> Answer:
        said = {"sequence": self.sequence, "nonce": self.nonce, "instance": self.instance}
        path = f"/api/v1/agents/{self.agent}/telemetry/heartbeat"
        return live.api.call("POST", path, said, credential=self.key.raw)

    def verdict(self, state: State) -> Verdict:
        agent = state.agents[self.agent]
        refused = agent.verdict(self.key, state.now)
        if refused is not None:
            return refused
        if self._repeats(agent):
            return OK
        if agent.instance == self.instance and self.sequence <= (agent.sequence or 0):
            return 409, "sequence_stale"
        if agent.next_allowed is not None and agent.next_allowed > state.now:
            return 429, "heartbeat_too_soon"
        return OK

    def _repeats(self, agent: Agent) -> bool:
        last = (agent.instance, agent.sequence, agent.nonce)
        return last == (self.instance, self.sequence, self.nonce)

    def take(self, state: State, answer: Answer) -> bool:
        agent = state.agents[self.agent]
        if answer.status != 200:
            if answer.code not in {None, "key_expired"}:
                event, organization = "agent.heartbeat.refused", agent.organization
                state.refused(event, str(answer.code), organization, agent.id)
            return True
        agent.use(self.key)
        if self._repeats(agent):
            return True
        if agent.status != "online":
            state.happened("agent.online", agent.organization, agent.id)
        elif agent.instance != self.instance:
            state.happened("agent.restarted", agent.organization, agent.id)
        agent.status, agent.instance = "online", self.instance
        agent.sequence, agent.nonce = self.sequence, self.nonce
        agent.last_seen, agent.next_allowed = state.now, state.now + SHORTEST_MS
        agent.due = due_after(state.now)
        return True


@dataclass(frozen=True)
class Sweep(Operation):
    """The schedule's function marks who is overdue."""

    def send(self, live: Live) -> Answer:
        assert live
        workers.sweep(None)
        return Answer(200, {}, {})

    def verdict(self, state: State) -> Verdict:
        assert state
        return OK

    def take(self, state: State, answer: Answer) -> bool:
        assert answer
        for agent in state.agents.values():
            if agent.due is not None and agent.due + BUCKET_SECONDS <= state.now // 1000:
                agent.status, agent.due = "offline", None
                state.happened("agent.offline", agent.organization, agent.id)
        return True
