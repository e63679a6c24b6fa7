"""An organization with agents, enrolled and heard through the function itself."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.events import event
from bench.processes import Event, FunctionProcess, require

MOST_USES = 10_000
INTERVAL = 1
"""Seconds between heartbeats: the shortest, so that few agents are needed."""
SHORTEST_PAUSE = INTERVAL / 4
HEARTBEAT = "/api/v1/agents/{agent_id}/telemetry/heartbeat"
EXCHANGE = "/api/v1/agent-enrollment/exchange"
TOKENS = "/api/v1/agent-enrollment/tokens"
LOGIN = "/api/v1/auth/login"


@dataclass
class Agent:
    """An enrolled agent."""

    id: str
    key: str = field(repr=False)
    instance: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    sequence: int = 0
    heard_at: float = 0.0

    def beat(self) -> Event:
        """The event of its next heartbeat; waits where that would come too soon."""
        self.pause(SHORTEST_PAUSE)
        self.sequence += 1
        self.heard_at = time.monotonic()
        said = {
            "sequence": self.sequence,
            "nonce": secrets.token_urlsafe(16),
            "instance": self.instance,
            "agent_version": "0.1.0",
        }
        return event("POST", HEARTBEAT, self.key, said, agent_id=self.id)

    def pause(self, seconds: float) -> None:
        """Let so much time pass since its last heartbeat."""
        left = self.heard_at + seconds - time.monotonic()
        if left > 0:
            time.sleep(left)


def answered(agents: Iterable[Agent]) -> None:
    """Note that the last heartbeats were heard by now: a beat may wait long before it is."""
    for agent in agents:
        agent.heard_at = time.monotonic()


@dataclass(frozen=True)
class Tenant:
    """An organization, its environment, its operator's key, and its first org_admin."""

    organization: str
    environment: str
    operator_key: str = field(repr=False)
    username: str
    password: str = field(repr=False)

    def log_in(self, process: FunctionProcess) -> str:
        """A session of the org_admin: the raw secret."""
        said = {"username": self.username, "password": self.password, "cookie": False}
        served = process.call([event("POST", LOGIN, "", said)])
        return str(json.loads(require(served, 200).answers[0]["body"])["session"])

    def mint(self, process: FunctionProcess, uses: int = MOST_USES) -> dict[str, Any]:
        """A token of so many uses."""
        wanted = {"environment": self.environment, "max_uses": uses}
        served = process.call([event("POST", TOKENS, self.operator_key, wanted)])
        minted: dict[str, Any] = json.loads(require(served, 201).answers[0]["body"])
        return minted

    def enroll(self, process: FunctionProcess, count: int) -> list[Agent]:
        """Agents that are online."""
        token = self.mint(process)["token"]
        served = require(process.call([exchange(token) for _ in range(count)]), 201)
        given = [json.loads(answer["body"]) for answer in served.answers]
        agents = [Agent(one["agent_id"], one["runtime_key"]) for one in given]
        require(process.call([agent.beat() for agent in agents]), 200)
        answered(agents)
        return agents


def new_tenant(environ: Mapping[str, str]) -> Tenant:
    """Made as `make bootstrap` makes one: with the credentials of the stage's deployer."""
    os.environ.update(environ)
    from chalicelib.flows.bootstrap import FirstAdmin, bootstrap  # noqa: PLC0415 - reads environ

    admin = FirstAdmin("bench", secrets.token_urlsafe(24))
    made = bootstrap(
        organization_name="Bench",
        project_name="Bench",
        environment_name="Bench",
        heartbeat_interval=INTERVAL,
        actor="bench",
        now=time.time_ns() // 1_000_000,
        admin=admin,
    )
    return Tenant(
        made.organization, made.environment, made.operator_key, admin.username, admin.password
    )


def exchange(token: str) -> Event:
    """The exchange of a fresh host, with what the host agent says of it."""
    said = {
        "hostname": f"node-{secrets.token_hex(6)}.example",
        "os": "Linux 6.1.0",
        "arch": "x86_64",
        "machine_id": secrets.token_hex(32),
        "agent_version": "0.1.0",
    }
    return event("POST", EXCHANGE, token, said, idempotency_key=secrets.token_urlsafe(32))
