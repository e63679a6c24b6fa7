"""The model: what a control plane that serves one request after the other would know.

Plain data, and the verdicts of the laws. Operations name rows by their identifiers alone, so that
they can be tried on a copy.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from tests.functional.clock import FrozenClock

INTERVAL_MS = 60_000
SHORTEST_MS = INTERVAL_MS // 4
BUCKET_SECONDS = 6 * 3600
DAY_MS = 86_400_000
REPLAY_WINDOW_MS = DAY_MS
KEY_MS = 90 * DAY_MS
UPLOAD_MS = 900_000
KEPT_MS = 90 * DAY_MS
MOST_ARTIFACTS_AN_HOUR = 60
STALLED_MS = 15 * 60_000
MOST_ATTEMPTS = 20

Verdict = tuple[int, str | None]
OK: Verdict = (200, None)
CREATED: Verdict = (201, None)
ACCEPTED: Verdict = (202, None)


def sha256(secret: str) -> str:
    """All that a table may know of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass
class Key:
    """A runtime key that somebody holds."""

    raw: str = field(repr=False)
    expires_at: int


@dataclass
class Receipt:
    """That a use of a token was answered, to whom, and with which key last."""

    agent: str
    key: str = field(repr=False)
    created_at: int


@dataclass
class Token:
    """An enrollment token; its uses are the agents that it made."""

    id: str
    organization: str
    secret: str = field(repr=False)
    max_uses: int
    expires_at: int
    hostname: str | None
    status: str = "active"
    agents: list[str] = field(default_factory=list)
    receipts: dict[str, Receipt] = field(default_factory=dict)


@dataclass
class Agent:
    """An agent: its identity, its presence and the keys that were ever handed out for it."""

    id: str
    organization: str
    environment: str
    token: str
    name: str
    key: Key
    status: str = "enrolled"
    instance: str | None = None
    sequence: int | None = None
    nonce: str | None = None
    last_seen: int | None = None
    next_allowed: int | None = None
    due: int | None = None
    old_keys: list[Key] = field(default_factory=list)
    pending: Key | None = None
    rotated_at: int | None = None
    was: str | None = None
    released: bool = False
    released_at: int | None = None

    @property
    def lives(self) -> bool:
        """Whether it was not revoked."""
        return self.status != "revoked"

    def verdict(self, key: Key, now: int) -> Verdict | None:
        """Why a key is refused on every route of the agent, or None."""
        if key.expires_at <= now:
            return 401, "key_expired"
        if key.raw != self.key.raw and not self.is_pending(key):
            return 401, "key_superseded"
        if not self.lives:
            return 401, "key_revoked"
        return (403, "agent_quarantined") if self.status == "quarantined" else None

    def is_pending(self, key: Key) -> bool:
        """Whether a rotation gave it out and nobody used it."""
        return self.pending is not None and key.raw == self.pending.raw

    def use(self, key: Key) -> None:
        """The first use of a pending key makes it the agent's."""
        if self.pending is not None and self.is_pending(key):
            self.old_keys.append(self.key)
            self.key, self.pending = self.pending, None

    def seen_as(self, now: int) -> str:
        """The honest status."""
        if self.status != "online" or self.last_seen is None:
            return self.status
        silent = now - self.last_seen
        if silent <= 1.5 * INTERVAL_MS:
            return "online"
        if self.released_at is not None:
            silent = min(silent, now - self.released_at)
        return "late" if silent < 3 * INTERVAL_MS else "offline"


def due_after(now: int) -> int:
    """The bucket in which an agent is overdue that is silent from now on."""
    overdue = (now + 3 * INTERVAL_MS) // 1000
    return overdue - overdue % BUCKET_SECONDS


@dataclass
class Artifact:
    """What an agent announced last under one identifier."""

    id: str
    agent: str
    content: bytes
    status: str
    created_at: int
    reason: str | None = None
    kept_until: int | None = None

    def seen_as(self, now: int) -> str:
        """The status that callers are told."""
        overdue = self.status == "pending" and now > self.created_at + UPLOAD_MS
        kept = self.status == "stored" and self.kept_until is not None and now >= self.kept_until
        return "expired" if overdue or kept else self.status


@dataclass
class Job:
    """A cascade; `attempts` counts the steps that came no further."""

    id: str
    organization: str
    token: str
    updated_at: int
    status: str = "queued"
    step: int = 0
    processed: int = 0
    attempts: int = 0

    @property
    def ended(self) -> bool:
        """Whether no record of it does anything any more."""
        return self.status in {"done", "failed"}


Evidence = tuple[str, str, str | None, str, str, int]
"""Event, outcome, reason, organization, resource and time of an audit record."""


@dataclass
class State:
    """All of it, at one moment."""

    clock: FrozenClock
    tokens: dict[str, Token] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    announced: Counter[tuple[str, int]] = field(default_factory=Counter)
    jobs: dict[str, Job] = field(default_factory=dict)
    evidence: Counter[Evidence] = field(default_factory=Counter)

    @property
    def now(self) -> int:
        """The time, which stands still during a step."""
        return self.clock.now

    def happened(self, event: str, organization: str, resource: str) -> None:
        """An effect, and so exactly one record of it."""
        self.evidence[event, "success", None, organization, resource, self.now] += 1

    def refused(self, event: str, reason: str, organization: str, resource: str) -> None:
        """A refusal: one record a resource, reason and minute."""
        minute = self.now - self.now % 60_000
        self.evidence[event, "refused", reason, organization, resource, minute] = 1

    def admitting(self) -> int:
        """How many tokens admit hosts."""
        return sum(
            token.status == "active"
            and self.now < token.expires_at
            and len(token.agents) < token.max_uses
            for token in self.tokens.values()
        )

    def named(self, environment: str, name: str) -> Agent | None:
        """The live agent of this name in an environment."""
        for agent in self.agents.values():
            same = agent.environment == environment and agent.name.lower() == name.lower()
            if same and agent.lives:
                return agent
        return None

    def revoke(self, agent: Agent) -> None:
        """End an agent that lives."""
        if agent.lives:
            agent.status, agent.due = "revoked", None
            self.happened("agent.revoked", agent.organization, agent.id)
