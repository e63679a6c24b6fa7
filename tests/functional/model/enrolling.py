"""Minting and exchanging, as law 1 has it."""

from dataclasses import dataclass, field
from typing import Any

from tests.functional.api import Answer
from tests.functional.model.operations import Live, Operation
from tests.functional.model.state import (
    CREATED,
    KEY_MS,
    OK,
    REPLAY_WINDOW_MS,
    Agent,
    Key,
    Receipt,
    State,
    Token,
    Verdict,
)


@dataclass(frozen=True)
class Mint(Operation):
    """An operator mints a token."""

    organization: str
    max_uses: int
    ttl_seconds: int
    hostname: str | None

    def send(self, live: Live) -> Answer:
        tenant = live.tenants[self.organization]
        wanted: dict[str, Any] = {
            "environment": tenant.environment,
            "max_uses": self.max_uses,
            "ttl_seconds": self.ttl_seconds,
            "hostname": self.hostname,
        }
        return tenant.call("POST", "/agent-enrollment/tokens", wanted)

    def verdict(self, state: State) -> Verdict:
        assert state
        return CREATED

    def take(self, state: State, answer: Answer) -> bool:
        token = Token(
            id=answer.body["enrollment_token_id"],
            organization=self.organization,
            secret=answer.body["token"],
            max_uses=self.max_uses,
            expires_at=state.now + self.ttl_seconds * 1000,
            hostname=self.hostname,
        )
        fresh = token.id not in state.tokens
        state.tokens[token.id] = token
        state.happened("agent.enrollment_token.issued", self.organization, token.id)
        return fresh


@dataclass(frozen=True)
class Exchange(Operation):
    """A host trades a token; with an idempotency key it may ask again."""

    organization: str
    environment: str
    token: str
    secret: str = field(repr=False)
    idempotency_key: str | None
    hostname: str
    name: str | None = None

    def send(self, live: Live) -> Answer:
        said = {"hostname": self.hostname, **({"name": self.name} if self.name else {})}
        return live.tenants[self.organization].exchange(
            self.secret, idempotency_key=self.idempotency_key, **said
        )

    def verdict(  # noqa: PLR0911 - one return a reason, in the order of law 1
        self, state: State
    ) -> Verdict:
        token = state.tokens[self.token]
        if self.secret != token.secret:
            return 401, "credential_invalid"
        if token.status == "revoked":
            return 410, "token_revoked"
        receipt = token.receipts.get(self.idempotency_key or "")
        if receipt is not None:
            return self._of_replay(state, token, receipt)
        if token.expires_at <= state.now:
            return 410, "token_expired"
        if len(token.agents) >= token.max_uses:
            return 410, "token_spent"
        if self._is_wrong_host(token):
            return 403, "hostname_mismatch"
        if self.name is not None and state.named(self.environment, self.name):
            return 409, "name_taken"
        return CREATED

    def _of_replay(self, state: State, token: Token, receipt: Receipt) -> Verdict:
        if self._is_wrong_host(token):
            return 403, "hostname_mismatch"
        agent = state.agents[receipt.agent]
        waits = agent.status == "quarantined" and agent.last_seen is None
        beaten = agent.status != "enrolled" and not waits
        if beaten or state.now - receipt.created_at > REPLAY_WINDOW_MS:
            return 409, "replay_window_closed"
        return (403, "agent_quarantined") if waits else OK

    def _is_wrong_host(self, token: Token) -> bool:
        return token.hostname is not None and token.hostname != self.hostname

    def take(self, state: State, answer: Answer) -> bool:
        token = state.tokens[self.token]
        if answer.status in {200, 201}:
            key = Key(answer.body["runtime_key"], state.now + KEY_MS)
            return (self._replayed if answer.status == 200 else self._enrolled)(
                state, token, key, answer.body
            )
        if answer.code is not None and answer.status != 401:
            event = "agent.enrollment.failed"
            state.refused(event, answer.code, token.organization, token.id)
        return True

    def _enrolled(self, state: State, token: Token, key: Key, body: dict[str, Any]) -> bool:
        agent, name = body["agent_id"], body["name"]
        if agent in state.agents or body["replayed"] or not self._may_be_called(state, name):
            return False
        state.agents[agent] = Agent(
            agent, token.organization, self.environment, token.id, name, key
        )
        token.agents.append(agent)
        if self.idempotency_key:
            token.receipts[self.idempotency_key] = Receipt(agent, key.raw, state.now)
        state.happened("agent.enrolled", token.organization, agent)
        return True

    def _may_be_called(self, state: State, name: str) -> bool:
        if state.named(self.environment, name):
            return False
        wanted = self.name or self.hostname
        return name == wanted or (
            self.name is None
            and state.named(self.environment, wanted) is not None
            and name.startswith(f"{wanted}-")
        )

    def _replayed(self, state: State, token: Token, key: Key, body: dict[str, Any]) -> bool:
        receipt = token.receipts[self.idempotency_key or ""]
        agent = state.agents[receipt.agent]
        if body["agent_id"] != agent.id or body["name"] != agent.name or not body["replayed"]:
            return False
        agent.old_keys.append(agent.key)
        agent.key, receipt.key = key, key.raw
        state.happened("agent.enrollment.replayed", token.organization, agent.id)
        return True
