"""Artifacts: announced, uploaded, verified and asked for."""

from dataclasses import dataclass

from chalicelib import runtime, workers
from tests.functional.api import Answer
from tests.functional.model.operations import Live, Operation
from tests.functional.model.state import (
    CREATED,
    KEPT_MS,
    MOST_ARTIFACTS_AN_HOUR,
    OK,
    Artifact,
    Key,
    State,
    Verdict,
)
from tests.functional.world import artifact_wish

CONTENTS = (b"what was kept at first", b"what was kept at last.")
OTHER = b"something else entirely"[:22]
"""What no agent announces; as long as the others, so that its hash alone is wrong."""


@dataclass(frozen=True)
class Announce(Operation):
    """An agent says what it wants to upload."""

    agent: str
    key: Key
    content: bytes

    def send(self, live: Live) -> Answer:
        path = f"/api/v1/agents/{self.agent}/artifacts"
        wish = artifact_wish(self.content)
        return live.api.call("POST", path, wish, credential=self.key.raw)

    def verdict(self, state: State) -> Verdict:
        agent = state.agents[self.agent]
        refused = agent.verdict(self.key, state.now)
        if refused is not None:
            return refused
        if agent.status == "enrolled":
            return 409, "not_active"
        if self._known(state) == "stored":
            return OK
        full = state.announced[self.agent, state.now // 3_600_000] >= MOST_ARTIFACTS_AN_HOUR
        return (429, "too_many_artifacts") if full else CREATED

    def _known(self, state: State) -> str | None:
        for artifact in state.artifacts.values():
            if (artifact.agent, artifact.content) == (self.agent, self.content):
                return artifact.seen_as(state.now)
        return None

    def take(self, state: State, answer: Answer) -> bool:
        if answer.status == 200:
            return bool(answer.body["deduplicated"]) and answer.body["artifact_id"] in (
                state.artifacts
            )
        if answer.status == 201:
            identifier = answer.body["artifact_id"]
            state.artifacts[identifier] = Artifact(
                identifier, self.agent, self.content, "pending", state.now
            )
            state.announced[self.agent, state.now // 3_600_000] += 1
            organization = state.agents[self.agent].organization
            state.happened("artifact.requested", organization, identifier)
        return True


@dataclass(frozen=True)
class Verify(Operation):
    """An upload has landed, and S3 says so to the function."""

    organization: str
    agent: str
    artifact: str
    content: bytes

    @property
    def _object(self) -> str:
        return f"incoming/{self.organization}/{self.agent}/{self.artifact}"

    def prepare(self, live: Live) -> None:
        assert live
        now = runtime.current()
        # As S3 takes it from the signed form.
        now.bucket._client.put_object(
            Bucket=now.settings.bucket,
            Key=self._object,
            Body=self.content,
            ChecksumAlgorithm="SHA256",
            ContentType="application/gzip",
        )

    def send(self, live: Live) -> Answer:
        assert live
        return Answer(200, {}, {"verdict": workers.verify(self._object, None)})

    def verdict(self, state: State) -> Verdict:
        assert state
        return OK

    def take(self, state: State, answer: Answer) -> bool:
        artifact = state.artifacts[self.artifact]
        if artifact.status != "pending":
            # Which one depends on whether another verdict has removed the object by then.
            return answer.body["verdict"] in {"unknown", "gone"}
        agent = state.agents[self.agent]
        trusted = agent.lives and agent.status != "quarantined"
        stopped = None if trusted else f"agent_{agent.status}"
        artifact.reason = self._mismatch(artifact) or stopped
        artifact.status = "rejected" if artifact.reason else "stored"
        artifact.kept_until = None if artifact.reason else state.now // 1000 * 1000 + KEPT_MS
        state.happened(f"artifact.{artifact.status}", self.organization, artifact.id)
        return bool(answer.body["verdict"] == artifact.status)

    def _mismatch(self, artifact: Artifact) -> str | None:
        return None if self.content == artifact.content else "checksum_mismatch"


@dataclass(frozen=True)
class Download(Operation):
    """An operator, perhaps another tenant's, asks for a stored artifact."""

    by: str
    agent: str
    artifact: str

    def send(self, live: Live) -> Answer:
        path = f"/agents/{self.agent}/artifacts/{self.artifact}/download"
        return live.tenants[self.by].call("GET", path)

    def verdict(self, state: State) -> Verdict:
        artifact = state.artifacts[self.artifact]
        if state.agents[self.agent].organization != self.by:
            return 404, "agent_not_found"
        stored = artifact.seen_as(state.now) == "stored"
        return OK if stored else (404, "artifact_not_stored")

    def take(self, state: State, answer: Answer) -> bool:
        assert state
        return answer.status != 200 or self.artifact in answer.body["url"]
