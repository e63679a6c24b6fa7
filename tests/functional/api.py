"""The API as a caller sees it, in process."""

import json
import secrets
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from chalice.test import Client, HTTPResponse

from chalicelib.flows.bootstrap import bootstrap
from tests.functional.canaries import watch
from tests.functional.clock import FrozenClock


@dataclass
class Answer:
    """An answer, with its body read."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str | None:
        """The stable code of an error."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Api:
    """Calls the app as API Gateway would."""

    clock: FrozenClock
    _client: Client = field(init=False)

    def __enter__(self) -> Self:
        # Its decorators read the settings, which the stack's fixture provides.
        from app import app

        self._client = Client(app, stage_name="local")
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        credential: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One request; `raw` replaces the JSON body."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if credential is not None:
            sent["Authorization"] = f"Bearer {credential}"
        content = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        answer: HTTPResponse = self._client.http.request(
            method, path, headers={k: v for k, v in sent.items() if v}, body=content
        )
        watch.look_at_answer(method, path, f"{answer.headers}{answer.body.decode()}")
        return Answer(answer.status_code, answer.headers, json.loads(answer.body))

    def new_tenant(self, *, heartbeat_interval: int = 60) -> "Tenant":
        """An organization of its own."""
        made = bootstrap(
            organization_name="Test",
            project_name="Project",
            environment_name="Environment",
            heartbeat_interval=heartbeat_interval,
            actor="test",
            now=self.clock.now,
        )
        return Tenant(self, made.organization, made.project, made.environment, made.operator_key)


@dataclass
class Tenant:
    """An organization, and what its operators do."""

    api: Api
    organization: str
    project: str
    environment: str
    key: str

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request with the operator key."""
        return self.api.call(method, f"/api/v1{path}", body, credential=self.key, **more)

    def mint(self, **wanted: Any) -> dict[str, Any]:
        """A fresh token with its secret."""
        answer = self.call(
            "POST", "/agent-enrollment/tokens", {"environment": self.environment, **wanted}
        )
        assert answer.status == 201, answer.body
        assert isinstance(answer.body, dict)
        return answer.body

    def exchange(self, token: str, *, idempotency_key: str | None = None, **said: Any) -> Answer:
        """One exchange by a host."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.api.call(
            "POST",
            "/api/v1/agent-enrollment/exchange",
            {"hostname": "host-1.example", **said},
            credential=token,
            headers=headers,
        )

    def enroll(self, **said: Any) -> "Host":
        """A host that was enrolled with a token of its own."""
        token = self.mint()
        answer = self.exchange(token["token"], **said)
        assert answer.status == 201, answer.body
        return Host(self.api, answer.body["agent_id"], answer.body["runtime_key"], answer.body)

    def audit(self, resource_type: str, resource_id: str) -> list[dict[str, Any]]:
        """What happened to a resource, oldest first."""
        answer = self.call(
            "GET",
            f"/audit-records?resource_type={resource_type}&resource_id={resource_id}&order=oldest",
        )
        assert answer.status == 200, answer.body
        records = answer.body["audit_records"]
        assert isinstance(records, list)
        return records


@dataclass
class Host:
    """An enrolled host, and what its agent does."""

    api: Api
    agent_id: str
    key: str
    enrollment: dict[str, Any]
    instance: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    sequence: int = 0

    def beat(self, **said: Any) -> Answer:
        """The next heartbeat."""
        self.sequence += 1
        return self.repeat_beat(**{"nonce": secrets.token_urlsafe(16), **said})

    def repeat_beat(self, **said: Any) -> Answer:
        """A heartbeat with the present sequence."""
        body = {"sequence": self.sequence, "instance": self.instance, **said}
        return self.call("POST", "/telemetry/heartbeat", body)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request with the runtime key."""
        return self.api.call(
            method, f"/api/v1/agents/{self.agent_id}{path}", body, credential=self.key, **more
        )
