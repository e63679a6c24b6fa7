"""A control plane of one process's memory: tokens with uses, replay, heartbeats, artifacts.

It keeps the agent's side of the contract honest without a deployed stack. The same questions that
the tests ask of it (`agents`, `uses_left`) can be asked of a real one.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STAGE = "/dev"
Json = Mapping[str, Any]


@dataclass
class Agent:
    """An identity and what it sent."""

    agent_id: str
    name: str
    key: str
    beats: list[Json] = field(default_factory=list)
    last: Json | None = None
    is_revoked: bool = False
    # A key that was given out and not shown yet, and those that another one took the place of.
    pending: str | None = None
    superseded: set[str] = field(default_factory=set)
    wants_rotation: bool = False
    # Whether the copy that beats is to take an identity of its own.
    is_to_split: bool = False
    facts: Json | None = None

    def admits(self, key: str) -> bool:
        """Check a key; the first use of a pending one supersedes the other."""
        if key == self.pending:
            self.superseded.add(self.key)
            self.key, self.pending, self.wants_rotation = key, None, False
        return key == self.key


@dataclass(frozen=True)
class Reply:
    """One answer, scripted or computed."""

    status: int
    body: Json = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def problem(status: int, code: str, **extra: object) -> Reply:
    """Build problem details."""
    headers = {"Content-Type": "application/problem+json"}
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": code}
    return Reply(status, body | extra, headers)


def _key_refusal(agent: Agent | None, key: str) -> Reply:
    if agent is None:
        return problem(404, "agent_not_found")
    if agent.is_revoked:
        return problem(401, "key_revoked")
    return problem(401, "key_superseded" if key in agent.superseded else "key_invalid")


class FakeControlPlane:
    """The state and the rules, without HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.uses_left: dict[str, int] = {}
        self.agents: dict[str, Agent] = {}
        self.objects: dict[str, bytes] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.upload_headers: list[dict[str, str]] = []
        # Answers that are given once each, before any rule, to paths that end so.
        self.script: deque[tuple[str, Reply]] = deque()
        self.interval = 60.0
        self.wants_facts = False
        # What happens on the host while its exchange is on its way.
        self.before_exchange: Callable[[], None] = lambda: None
        self._stalled: tuple[str, threading.Event] | None = None
        self._released = threading.Event()
        self._receipts: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def mint(self, uses: int = 1) -> str:
        """Return a new enrollment token."""
        token = f"rce_{secrets.token_urlsafe(32)}"
        self.uses_left[token] = uses
        return token

    def enrolled(self) -> Agent:
        """Return a new agent as if a host had enrolled."""
        agent_id = f"agt_{secrets.token_hex(8)}"
        agent = Agent(agent_id, agent_id, f"rca_{secrets.token_urlsafe(32)}")
        self.agents[agent_id] = agent
        return agent

    def stall(self, path_ending: str) -> threading.Event:
        """Leave requests to such paths without an answer; the event says that one came."""
        self.release()  # those of an earlier time
        asked, self._released = threading.Event(), threading.Event()
        self._stalled = (path_ending, asked)
        return asked

    def release(self) -> None:
        """Let go of the requests that wait for an answer."""
        self._released.set()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request, one at a time: this is what a transaction gives the real one."""
        if self._stalled is not None and path.endswith(self._stalled[0]):
            self._stalled[1].set()
            self._released.wait()
        with self._lock:
            if self.script and path.endswith(self.script[0][0]):
                return self.script.popleft()[1]
            if path == "/bucket":
                return self._take_object(headers, body)
            return self._route(method, path.removeprefix(STAGE), headers, body)

    def _route(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        given = json.loads(body) if body else {}
        if path == "/healthz":
            return Reply(200, {"status": "ok"})
        if path == "/api/v1/agent-enrollment/exchange":
            return self._exchange(bearer, headers.get("idempotency-key", ""), given)
        parts = path.removeprefix("/api/v1/agents/").split("/")
        agent = self.agents.get(parts[0])
        if agent is None or agent.is_revoked or not agent.admits(bearer):
            return _key_refusal(agent, bearer)
        if method == "GET":
            return self._show_artifact(parts[-1])
        if path.endswith("/split"):
            return self._split(agent, headers.get("idempotency-key", ""))
        routes: dict[str, Callable[[Agent, Json], Reply]] = {
            "heartbeat": self._beat,
            "rotate": self._rotate,
            "facts": self._take_facts,
            "decommission": self._decommission,
            "artifacts": self._announce,
        }
        return routes[parts[-1]](agent, given)

    def _rotate(self, agent: Agent, _body: Json) -> Reply:
        agent.pending = f"rca_{secrets.token_urlsafe(32)}"
        return Reply(201, {"runtime_key": agent.pending})

    def _decommission(self, agent: Agent, body: Json) -> Reply:
        named = body.get("successor")
        if named is None:
            agent.is_revoked = True
            return Reply(200, {"agent_id": agent.agent_id, "status": "revoked"})
        successor = self.agents.get(named["agent_id"])
        if successor is None or successor.is_revoked or successor.key != named["runtime_key"]:
            return problem(409, "successor_refused")
        agent.is_revoked = True
        if not named.get("keeps_own_name"):
            successor.name = agent.name
        said = {"agent_id": agent.agent_id, "status": "revoked", "successor_name": successor.name}
        return Reply(200, said)

    def live(self) -> list[Agent]:
        """Return the agents that have not ended."""
        return [agent for agent in self.agents.values() if not agent.is_revoked]

    def _is_taken(self, name: str) -> bool:
        return any(agent.name == name for agent in self.live())

    def _take_facts(self, agent: Agent, body: Json) -> Reply:
        agent.facts = body
        return Reply(200, {"facts_sha256": body["facts_sha256"], "changed": True})

    def _split(self, agent: Agent, idempotency_key: str) -> Reply:
        receipt = (agent.agent_id, idempotency_key)
        if receipt not in self._receipts and not agent.is_to_split:
            return problem(409, "not_split")
        replayed = receipt in self._receipts
        if not replayed:
            agent.is_to_split = False
            agent_id = f"agt_{secrets.token_hex(8)}"
            self.agents[agent_id] = Agent(agent_id, f"{agent.name}-copy", "")
            self._receipts[receipt] = agent_id
        return self._identity(self.agents[self._receipts[receipt]], replayed=replayed)

    def _exchange(self, token: str, idempotency_key: str, body: Json) -> Reply:
        self.before_exchange()
        if token not in self.uses_left:
            return problem(401, "credential_invalid")
        receipt = (token, idempotency_key)
        replayed = receipt in self._receipts
        if not replayed:
            if self.uses_left[token] < 1:
                return problem(410, "token_spent")
            name = body.get("name", body["hostname"])
            if "name" in body and self._is_taken(name):
                return problem(409, "name_taken")
            self.uses_left[token] -= 1
            agent_id = f"agt_{secrets.token_hex(8)}"
            if self._is_taken(name):
                name = f"{name}-{agent_id[-6:]}"
            self.agents[agent_id] = Agent(agent_id, name, "")
            self._receipts[receipt] = agent_id
        return self._identity(self.agents[self._receipts[receipt]], replayed=replayed)

    def _identity(self, agent: Agent, *, replayed: bool) -> Reply:
        """Answer with an agent and a fresh key, until it has beaten once."""
        if agent.beats:
            return problem(409, "replay_window_closed")
        agent.key = f"rca_{secrets.token_urlsafe(32)}"
        return Reply(
            200 if replayed else 201,
            {
                "agent_id": agent.agent_id,
                "name": agent.name,
                "runtime_key": agent.key,
                "heartbeat_interval_seconds": self.interval,
                "replayed": replayed,
            },
        )

    def _beat(self, agent: Agent, beat: Json) -> Reply:
        if agent.is_to_split:
            return problem(409, "agent_split")
        last = agent.last
        if last is not None and last["instance"] == beat["instance"]:
            is_repeat = (last["sequence"], last["nonce"]) == (beat["sequence"], beat["nonce"])
            if not is_repeat and beat["sequence"] <= last["sequence"]:
                return problem(409, "sequence_stale", last_sequence=last["sequence"])
        agent.beats.append(beat)
        agent.last = beat
        return Reply(
            200,
            {
                "status": "online",
                "heartbeat_interval_seconds": self.interval,
                "minimum_interval_seconds": 0,
                "rotate_key": agent.wants_rotation,
                "facts_wanted": self.wants_facts and agent.facts is None,
            },
        )

    def _announce(self, _agent: Agent, body: Json) -> Reply:
        for artifact_id, known in self.artifacts.items():
            if known["sha256"] == body["sha256"] and known["status"] == "stored":
                stored = {"artifact_id": artifact_id, "status": "stored", "deduplicated": True}
                return Reply(200, stored)
        artifact_id = f"art_{secrets.token_hex(8)}"
        self.artifacts[artifact_id] = {"status": "pending", **body}
        upload = {"url": self.url.removesuffix(STAGE) + "/bucket", "fields": {"key": artifact_id}}
        return Reply(201, {"artifact_id": artifact_id, "status": "pending", "upload": upload})

    def _show_artifact(self, artifact_id: str) -> Reply:
        found = self.artifacts.get(artifact_id)
        if found is None:
            return problem(404, "artifact_not_found")
        return Reply(200, {"artifact_id": artifact_id, **found})

    def _take_object(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Take an upload apart at its boundary, as an object store does."""
        self.upload_headers.append(dict(headers))
        boundary = b"--" + headers["content-type"].split("boundary=")[1].encode()
        parts = [part.split(b"\r\n\r\n", 1) for part in body.split(boundary)[1:-1]]
        contents = [content.removesuffix(b"\r\n") for _, content in parts]
        key = contents[0].decode()
        self.objects[key] = contents[-1]
        self.artifacts[key]["status"] = "stored"
        return Reply(204)


@contextmanager
def serve(plane: FakeControlPlane) -> Iterator[FakeControlPlane]:
    """Serve it on a free port for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            pass

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                # The client died between head and body: that is no request, and spends nothing.
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = plane.answer(self.command, self.path, headers, body)
            content = json.dumps(reply.body).encode() if reply.status != 204 else b""
            self.send_response(reply.status)
            for name, value in ({"Content-Type": "application/json"} | dict(reply.headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A connection that is gone before it is taken must not hold up the end of the server.
    server.socket.settimeout(1)
    server.daemon_threads = True
    plane.url = f"http://127.0.0.1:{server.server_address[1]}{STAGE}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield plane
    finally:
        plane.release()
        server.shutdown()
        server.server_close()
        thread.join()
