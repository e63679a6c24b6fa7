"""Calls to the deployed stage, as an operator and as a host; remembers every secret it sees."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.local_stack import LocalStack

PATIENCE_SECONDS = 60.0
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Token:
    """A minted enrollment token."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Host:
    """An enrolled agent, as its host knows it."""

    id: str
    key: str = field(repr=False)
    instance: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def path(self, rest: str) -> str:
        """A route of this agent."""
        return f"/agents/{self.id}/{rest}"


class Calls:
    """One caller of the stage; any thread may use it.

    Args:
        stack: the stage.
        http: the connections.
        seen: takes every raw secret that an answer holds or a request shows.
    """

    def __init__(self, stack: LocalStack, http: httpx.Client, seen: set[str]) -> None:
        self.stack = stack
        self._http = http
        self._seen = seen

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        credential: str,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request; every refusal has to be problem details, whoever asks."""
        self._seen.add(credential)
        answer = self._http.request(
            method,
            f"{self.stack.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {credential}", **(headers or {})},
        )
        if answer.is_success:
            self._remember(answer.json())
        else:
            assert_problem(answer)
        return answer

    def public(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request without a credential."""
        answer = self._http.request(method, f"{self.stack.url}/api/v1{path}", json=body)
        if answer.is_success:
            self._remember(answer.json())
        else:
            assert_problem(answer)
        return answer

    def _remember(self, body: dict[str, Any]) -> None:
        fields = body.get("upload", {}).get("fields", {})
        shown = ("token", "runtime_key", "session", "invitation", "organization_key")
        found = (*(body.get(name) for name in shown), fields.get("x-amz-signature"))
        self._seen.update(secret for secret in found if isinstance(secret, str))

    def operator(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request with the operator's key."""
        return self.send(method, path, body, credential=self.stack.operator_key)

    def read(self, path: str) -> Any:
        """What the operator is shown; a stage that is too busy to answer is asked again."""

        def answered() -> httpx.Response | None:
            answer = self.operator("GET", path)
            return None if answer.status_code == 503 else answer

        answer: httpx.Response = until(answered, f"an answer to {path}", pause=0.5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def mint(self, uses: int = 1, **wanted: Any) -> Token:
        """A fresh enrollment token."""
        body = {"environment": self.stack.environment, "max_uses": uses, **wanted}
        minted = self.operator("POST", "/agent-enrollment/tokens", body).json()
        return Token(minted["enrollment_token_id"], minted["token"])

    def exchange(self, token: Token, *, key: str | None = None, **said: Any) -> httpx.Response:
        """One exchange, with an idempotency key if one is given."""
        headers = {}
        if key is not None:
            self._seen.add(key)
            headers["Idempotency-Key"] = key
        body = {"hostname": f"host-{secrets.token_hex(4)}.example", **said}
        return self.send(
            "POST",
            "/agent-enrollment/exchange",
            body,
            credential=token.secret,
            headers=headers,
        )

    def enroll(self, token: Token | None = None, **said: Any) -> Host:
        """A fresh agent."""
        answer = self.exchange(token or self.mint(), **said)
        assert answer.status_code == 201, answer.text
        return Host(answer.json()["agent_id"], answer.json()["runtime_key"])

    def beat(self, host: Host, sequence: int = 1) -> httpx.Response:
        """One heartbeat."""
        body = {
            "sequence": sequence,
            "nonce": secrets.token_urlsafe(24),
            "instance": host.instance,
        }
        return self.send("POST", host.path("telemetry/heartbeat"), body, credential=host.key)

    def online(self, token: Token | None = None) -> Host:
        """A fresh agent that has beaten."""
        host = self.enroll(token)
        answer = self.beat(host)
        assert answer.status_code == 200, answer.text
        return host

    def uses(self, token: Token) -> int:
        """How many uses of a token are spent."""
        return int(self.read(f"/agent-enrollment/tokens/{token.id}")["uses"])

    def agents_of(self, token: Token) -> list[dict[str, Any]]:
        """The agents that a token made, as the operator's list shows them."""
        return [a for a in self.agents() if a["enrollment_token_id"] == token.id]

    def agents(self) -> Iterator[dict[str, Any]]:
        """All agents, as the operator's list shows them."""
        cursor = ""
        while True:
            page = self.read(f"/agents?limit=100{cursor}")
            yield from page["agents"]
            if not page["next_cursor"]:
                return
            cursor = f"&cursor={page['next_cursor']}"

    def status_of(self, host: Host) -> str:
        """An agent's status, as the operator sees it."""
        return str(self.read(f"/agents/{host.id}")["status"])


def assert_problem(answer: httpx.Response) -> None:
    """Every answer that is not 2xx is problem details with a code that a program can read."""
    assert answer.headers["content-type"] == PROBLEM, (answer.status_code, answer.text[:500])
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["code"]
    assert body["request_id"]
    assert body["type"] == f"urn:rollcall:error:{body['code']}"
    if answer.status_code in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1


def until(
    look: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS, pause: float = 0.05
) -> Any:
    """Look again and again until there is something to see; return it."""
    ends = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < ends, f"after {seconds:g} s still not: {what}"
        time.sleep(pause)
    return found
