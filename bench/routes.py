"""Requests to DynamoDB, and the capacity they consume, route by route and outcome by outcome.

The units are MiniStack's answers to `ReturnConsumedCapacity`, asked for by a hook in the measured
process; the product does not ask. Where MiniStack does not tell (a `BatchGetItem`, and a write
whose condition failed), AWS's rules are applied: all items are below the 4 KB of a read unit and
the 1 KB of a write unit.
"""

from __future__ import annotations

import ast
import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import csr
from bench.events import event
from bench.fleet import EXCHANGE, MOST_USES, TOKENS, Agent, Tenant, answered, exchange
from bench.processes import Event, FunctionProcess, ProcessError, require

AGENT = "/api/v1/agents/{agent_id}"
BUCKET_SECONDS = 300
USUAL_INTERVAL = 60
_TOO_SOON = 429
_MOST_ACCEPTED = 20
_READS = {"BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"}


class Ledger:
    """What each call asked for and consumed."""

    def __init__(self, process: FunctionProcess) -> None:
        self._process = process
        self.rows: list[dict[str, Any]] = []

    def call(self, name: str, sent: Event, status: int) -> dict[str, Any]:
        """Make a call, note its figures and return its body."""
        return self._noted(name, require(self._process.call([sent]), status).answers[0])

    def call_too_soon(self, name: str, agent: Agent) -> None:
        """Beat right after the last accepted beat, and note the refusal.

        On a busy machine the beat may arrive when it is no longer too soon: then there is a later
        accepted beat to come too soon after.

        Raises:
            ProcessError: no beat was refused.
        """
        for _ in range(_MOST_ACCEPTED):
            agent.heard_at = 0
            answer = require(self._process.call([agent.beat()]), 200, _TOO_SOON).answers[0]
            if answer["statusCode"] == _TOO_SOON:
                self._noted(name, answer)
                return
        raise ProcessError(f"{name}: {_MOST_ACCEPTED} beats in a row were accepted")

    def _noted(self, name: str, answer: dict[str, Any]) -> dict[str, Any]:
        requests = answer["requests"]
        reads = [one for one in requests if one["operation"] in _READS]
        writes = [one for one in requests if one["operation"] not in _READS]
        row = {
            "route": name,
            "status": answer["statusCode"],
            "operations": dict(Counter(one["operation"] for one in requests)),
            "requests": len(requests),
            "read_units": _units(reads),
            "write_units": _units(writes),
        }
        self.rows.append(row)
        body: dict[str, Any] = json.loads(answer["body"])
        return body


def measure(
    package: Path, environ: Mapping[str, str], tenant: Tenant, agents: list[Agent]
) -> dict[str, Any]:
    """Every route in its usual outcomes, and the average heartbeat."""
    with FunctionProcess(package, environ, "recording:handler") as process:
        ledger = Ledger(process)
        agent, token = _enrollment(ledger, tenant)
        _heartbeats(ledger, agents[0])
        _artifacts(ledger, tenant, agents[0])
        _operators(ledger, tenant, agent, token)
    narrow = {**environ, "ROLLCALL_PRESENCE_BUCKET_SECONDS": "1"}
    with FunctionProcess(package, narrow, "recording:handler") as process:
        changing = Ledger(process)
        require(process.call([agents[1].beat()]), 200)  # reads the environment's control row
        answered(agents[:2])
        agents[1].pause(2)
        changing.call("heartbeat, its bucket changes", agents[1].beat(), 200)
    rows = ledger.rows + changing.rows
    units = {row["route"]: row["write_units"] for row in rows}
    steady, moved = units["heartbeat, steady"], units["heartbeat, its bucket changes"]
    share = USUAL_INTERVAL / BUCKET_SECONDS
    return {"routes": rows, "average_heartbeat_write_units": steady + share * (moved - steady)}


def _units(requests: list[dict[str, Any]]) -> float:
    return sum(_consumed(one) for one in requests)


def _consumed(request: dict[str, Any]) -> float:
    if request["consumed"]:
        return sum(float(part["CapacityUnits"]) for part in request["consumed"])
    if request["operation"] == "BatchGetItem":
        tables = ast.literal_eval(request["parameters"])["RequestItems"].values()
        return sum(len(wanted["Keys"]) for wanted in tables)
    return 1.0


def _enrollment(ledger: Ledger, tenant: Tenant) -> tuple[Agent, str]:
    minted = _mint(ledger, tenant, "mint", 10)
    token = minted["token"]
    sent = exchange(token)
    ledger.call("exchange", sent, 201)
    ledger.call("exchange, repeated with its key", sent, 200)
    without = {"hostname": f"node-{secrets.token_hex(6)}.example"}
    ledger.call("exchange, without a key", event("POST", EXCHANGE, token, without), 201)
    many = _mint(ledger, tenant, "mint, 10,000 uses", MOST_USES)["token"]
    ledger.call("exchange, token of 10,000 uses", exchange(many), 201)
    body = {"hostname": f"node-{secrets.token_hex(6)}.example", "csr": csr.request()}
    with_csr = event("POST", EXCHANGE, token, body, idempotency_key=secrets.token_urlsafe(32))
    enrolled = ledger.call("exchange, with a CSR", with_csr, 201)
    agent = Agent(enrolled["agent_id"], enrolled["runtime_key"])
    ledger.call("heartbeat, the first", agent.beat(), 200)
    junk = event("POST", EXCHANGE, token[:-1] + "!", without)
    ledger.call("exchange, junk", junk, 401)
    return agent, minted["enrollment_token_id"]


def _mint(ledger: Ledger, tenant: Tenant, name: str, uses: int) -> dict[str, Any]:
    wanted = {"environment": tenant.environment, "max_uses": uses}
    return ledger.call(name, event("POST", TOKENS, tenant.operator_key, wanted), 201)


def _heartbeats(ledger: Ledger, agent: Agent) -> None:
    steady = agent.beat()
    ledger.call("heartbeat, steady", steady, 200)
    ledger.call("heartbeat, repeated", steady, 200)
    ledger.call_too_soon("heartbeat, too soon, once a minute", agent)
    ledger.call_too_soon("heartbeat, too soon", agent)
    forged = replace(agent, key=agent.key[:-4] + "AAAA")
    ledger.call("heartbeat, forged key", forged.beat(), 401)
    restarted = replace(agent, instance=secrets.token_urlsafe(16), sequence=0)
    restarted.pause(1)
    ledger.call("heartbeat, a new process", restarted.beat(), 200)
    agent.instance, agent.sequence = restarted.instance, restarted.sequence


def _artifacts(ledger: Ledger, tenant: Tenant, agent: Agent) -> None:
    wanted = {
        "kind": "incident_bundle",
        "filename": "bundle.tar.gz",
        "size": 7,
        "sha256": secrets.token_hex(32),
        "content_type": "application/gzip",
    }
    path, ids = f"{AGENT}/artifacts", {"agent_id": agent.id}
    made = ledger.call("announce an artifact", event("POST", path, agent.key, wanted, **ids), 201)
    ledger.call("list artifacts", event("GET", path, tenant.operator_key, **ids), 200)
    one = {**ids, "artifact_id": made["artifact_id"]}
    sent = event("GET", path + "/{artifact_id}", tenant.operator_key, **one)
    ledger.call("get an artifact", sent, 200)


def _operators(ledger: Ledger, tenant: Tenant, agent: Agent, token: str) -> None:
    key, in_environment = tenant.operator_key, f"environment={tenant.environment}&limit=50"
    ids, token_ids = {"agent_id": agent.id}, {"enrollment_token_id": token}
    one_token = TOKENS + "/{enrollment_token_id}"
    ledger.call("get a token", event("GET", one_token, key, **token_ids), 200)
    ledger.call("list 50 tokens", event("GET", TOKENS, key, query=in_environment), 200)
    ledger.call("get an agent", event("GET", AGENT, key, **ids), 200)
    ledger.call("list 50 agents", event("GET", "/api/v1/agents", key, query=in_environment), 200)
    labels = {"labels": {"rack": "7"}}
    ledger.call("change an agent", event("PATCH", AGENT, key, labels, **ids), 200)
    ledger.call("revoke an agent", event("POST", f"{AGENT}/revoke", key, {}, **ids), 200)
    ledger.call("heartbeat, revoked", agent.beat(), 401)
    of_agent = f"resource_type=agent&resource_id={agent.id}"
    trail = event("GET", "/api/v1/audit-records", key, query=of_agent)
    ledger.call("audit records of an agent", trail, 200)
    revoke = event("POST", f"{one_token}/revoke", key, {"cascade": True}, **token_ids)
    job = ledger.call("revoke a token with its agents", revoke, 202)["job"]["job_id"]
    ledger.call("get a job", event("GET", "/api/v1/jobs/{job_id}", key, job_id=job), 200)
    ledger.call("healthz", event("GET", "/healthz", key), 200)
    ledger.call("readyz", event("GET", "/readyz", key), 200)
