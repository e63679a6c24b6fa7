"""What `make demo` does and checks: each step proves one promise, or stops the demo."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from infra.event_tap import EventTap
from infra.local_stack import LocalStack

_PATIENCE_SECONDS = 60.0
_COMMAND_SECONDS = 60.0
_ARTIFACT_BYTES = 300_000
_REVOKED_EXIT = 6


class BrokenPromiseError(Exception):
    """Something that Rollcall promises did not hold."""


def promise(held: bool, what: str) -> None:
    """Stop the demo where a promise does not hold."""
    if not held:
        raise BrokenPromiseError(f"this should hold and does not: {what}")


class Story:
    """One host's life, and what the operator and the host know on the way."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.token = ""
        self.token_id = ""
        self.agent_id = ""
        self.agent: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[str]] = []
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory()))
        self.http = self._closing.enter_context(httpx.Client(timeout=30))
        self.tap = self._closing.enter_context(EventTap(self.stack.target, self.stack.outputs))
        self._closing.callback(self._end_agents)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def _end_agents(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()

    def operator(self, method: str, path: str, body: Any = None) -> httpx.Response:  # noqa: ANN401
        """One request with the operator's key."""
        return self.call(method, path, body, self.stack.operator_key)

    def call(self, method: str, path: str, body: Any, credential: str) -> httpx.Response:  # noqa: ANN401
        """One request to the API."""
        return self.http.request(
            method,
            f"{self.stack.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {credential}"},
        )

    def start_agent(self, *arguments: str, token: str | None = None) -> subprocess.Popen[str]:
        """Start the host's agent as a process of its own."""
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("ROLLCALL_")
        }
        environ["ROLLCALL_CONFIG"] = str(self.folder / "etc" / "agent.env")
        environ["ROLLCALL_API_BASE_URL"] = self.stack.url
        if token is not None:
            environ["ROLLCALL_TOKEN"] = token
        process = subprocess.Popen(
            [sys.executable, "-m", "rollcall_agent", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run_agent(self, *arguments: str, token: str | None = None) -> str:
        """Run the agent to its end and return what it printed."""
        process = self.start_agent(*arguments, token=token)
        try:
            out, err = process.communicate(timeout=_COMMAND_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise BrokenPromiseError(f"rollcall-agent {arguments[0]} does not end") from error
        promise(process.returncode == 0, f"rollcall-agent {arguments[0]} succeeds: {out}{err}")
        return out.strip()

    def seen(self) -> dict[str, Any]:
        """The agent as the operator sees it."""
        found: dict[str, Any] = self.operator("GET", f"/agents/{self.agent_id}").json()
        return found


def _until(look: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not look():
        promise(time.monotonic() < ends, what)
        time.sleep(0.1)


def _deployed(story: Story) -> str:
    ready = story.http.get(f"{story.stack.url}/readyz")
    promise(ready.status_code == httpx.codes.OK, f"the stage is ready: {ready.text}")
    return f"`chalice deploy` put the control plane at {story.stack.url}, and it is ready."


def _logged_in(story: Story) -> str:
    login = {
        "username": story.stack.admin_username,
        "password": story.stack.admin_password,
        "cookie": False,
    }
    answer = story.http.post(f"{story.stack.url}/api/v1/auth/login", json=login)
    promise(answer.status_code == httpx.codes.OK, f"the admin logs in: {answer.status_code}")
    session = answer.json()["session"]
    me = story.call("GET", "/me", None, session).json()
    promise(me["role"] == "org_admin", "the session is the admin's")
    story.call("POST", "/auth/logout", None, session)
    again = story.call("GET", "/me", None, session)
    promise(
        again.json().get("code") == "credential_revoked", "after logging out it is worth nothing"
    )
    return f"{me['username']}, the first org_admin, logged in and out; then the session got 401."


def _minted(story: Story) -> str:
    answer = story.operator(
        "POST",
        "/agent-enrollment/tokens",
        {"environment": story.stack.environment, "labels": {"role": "demo"}},
    )
    promise(answer.status_code == httpx.codes.CREATED, f"a token is minted: {answer.text}")
    story.token, story.token_id = answer.json()["token"], answer.json()["enrollment_token_id"]
    listed = story.operator("GET", "/agent-enrollment/tokens")
    promise(story.token not in listed.text, "the list does not show the secret")
    return f"The operator minted {story.token_id}, for one host; its secret was shown once."


def _junk_refused(story: Story) -> str:
    body = {"hostname": "stranger.example"}
    other = "0" if story.token[-1] != "0" else "1"
    junk = story.call("POST", "/agent-enrollment/exchange", body, story.token[:-1] + other)
    promise(junk.status_code == httpx.codes.UNAUTHORIZED, "a wrong secret is 401")
    wrong = story.call("POST", "/agents/agt_x/telemetry/heartbeat", {}, story.token)
    promise(wrong.json()["code"] == "wrong_credential_family", "a token is no runtime key")
    return "A stranger's guess got 401, and the token itself is no key to any other route."


def _enrolled(story: Story) -> str:
    story.run_agent("enroll", token=story.token)
    env_file = story.folder / "etc" / "agent.env"
    promise(env_file.stat().st_mode & 0o777 == 0o600, "the env file is private")  # noqa: PLR2004
    settings = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
    story.agent_id = settings["ROLLCALL_AGENT_ID"]
    promise(story.seen()["status"] == "enrolled", "the operator sees the agent enrolled")
    promise(story.seen()["labels"] == {"role": "demo"}, "it inherited the token's labels")
    return f"The agent process exchanged it and is {story.agent_id}; identity in a 0600 file."


def _spent(story: Story) -> str:
    again = story.call(
        "POST", "/agent-enrollment/exchange", {"hostname": "second.example"}, story.token
    )
    promise(again.json().get("code") == "token_spent", "a second host is refused")
    uses = story.operator("GET", f"/agent-enrollment/tokens/{story.token_id}").json()["uses"]
    promise(uses == 1, "exactly one use was spent")
    return "A second host with the same token got 410 token_spent; uses: 1."


def _beating(story: Story) -> str:
    story.agent = story.start_agent("run")
    _until(lambda: story.seen()["status"] == "online", "the agent comes online")
    first = story.seen()["last_seen_at"]
    _until(lambda: story.seen()["last_seen_at"] > first, "the agent keeps beating")
    return "Its heartbeats arrive; the operator sees it online."


def _uploaded(story: Story) -> str:
    content = secrets.token_bytes(_ARTIFACT_BYTES)
    file = story.folder / "bundle.bin"
    file.write_bytes(content)
    artifact = story.run_agent("upload", str(file), "--kind", "incident_bundle").split()[-1]
    path = f"/agents/{story.agent_id}/artifacts/{artifact}"
    promise(story.operator("GET", path).json()["status"] == "stored", "the artifact is stored")
    url = story.operator("GET", f"{path}/download").json()["url"]
    got = hashlib.sha256(story.http.get(url).content).hexdigest()
    promise(got == hashlib.sha256(content).hexdigest(), "the download is what was uploaded")
    again = story.run_agent("upload", str(file), "--kind", "incident_bundle").split()[-1]
    promise(again == artifact, "the same content is not stored twice")
    return f"It uploaded {artifact} past the function, verified; the operator downloaded the same."


def _revoked(story: Story) -> str:
    answer = story.operator("POST", f"/agents/{story.agent_id}/revoke", {"note": "end of demo"})
    promise(answer.status_code == httpx.codes.OK, f"the agent is revoked: {answer.text}")
    agent = story.agent
    promise(agent is not None, "the agent runs until it is revoked")
    if agent is not None:
        _until(lambda: agent.poll() is not None, "the agent stops when it is revoked")
        _, err = agent.communicate()
        promise(agent.returncode == _REVOKED_EXIT, f"the agent stops with a clear code: {err}")
    return "One request revoked it; its next heartbeat was refused, and the agent stopped."


_STORY_EVENTS: Final = {
    "agent.enrollment_token.issued",
    "agent.enrollment.failed",
    "agent.enrolled",
    "agent.online",
    "artifact.requested",
    "artifact.stored",
    "agent.revoked",
}


def _evidence(story: Story) -> str:
    recorded: set[str] = set()
    cursor = ""
    while True:
        listed = story.operator("GET", f"/audit-records?limit=100{cursor}")
        promise(story.token not in listed.text, "no secret is in the audit trail")
        recorded |= {record["event"] for record in listed.json()["audit_records"]}
        if not listed.json()["next_cursor"]:
            break
        cursor = f"&cursor={listed.json()['next_cursor']}"
    promise(recorded >= _STORY_EVENTS, f"the audit trail has it all: {sorted(recorded)}")
    _until(lambda: story.tap.names() >= _STORY_EVENTS, "every event was published")
    return f"The audit trail has all of it, and the event bus delivered {len(_STORY_EVENTS)} kinds."


STEPS: Final[tuple[Callable[[Story], str], ...]] = (
    _deployed,
    _logged_in,
    _minted,
    _junk_refused,
    _enrolled,
    _spent,
    _beating,
    _uploaded,
    _revoked,
    _evidence,
)
