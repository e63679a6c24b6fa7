"""Uploading an artifact: announce it, post it where the control plane says, see it stored."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.backoff import Backoff
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.file_form import FileForm, Progress
from rollcall_agent.retry import Retry, TransientError, settled
from rollcall_agent.say import clean
from rollcall_agent.secret import is_credential
from rollcall_agent.sendable import (
    Measured,
    check_metadata,
    content_type_of,
    file_changed,
    filename_of,
    measure,
)
from rollcall_agent.settings import Identity

GAVE_UP: Final = "Gave up. Running the same command again is safe: equal content is stored once."
POLL: Final = Backoff(base=0.5, cap=5.0)
_WELL_KNOWN: Final = {
    "application/gzip",
    "application/json",
    "application/x-tar",
    "application/zip",
    "text/plain",
}
_FORBIDDEN: Final = 403
# A policy that was fresh a moment ago has not expired: then 403 means something that will last.
_SLOW_SECONDS: Final = 60.0


class Uplink(Caller, Protocol):
    """A caller that can also post a file to a presigned URL."""

    def post_form(self, url: str, form: FileForm) -> Answer:
        """Post a file to a presigned URL."""


@dataclass(frozen=True)
class Artifact:
    """A file and what is announced about it."""

    file: Measured
    filename: str
    kind: str
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, path: Path, kind: str, content_type: str | None, metadata: Mapping[str, str]
    ) -> Artifact:
        """Read the file once and describe it.

        Raises:
            AgentError: The control plane would not take it.
        """
        said = _guessed(path) if content_type is None else content_type_of(content_type)
        check_metadata(metadata)
        filename = filename_of(path)
        return cls(measure(path), filename, kind, said, metadata)

    def announcement(self) -> dict[str, object]:
        """Return the body that asks for an upload."""
        body: dict[str, object] = {
            "kind": self.kind,
            "filename": self.filename,
            "size": self.file.size,
            "sha256": self.file.sha256,
            "content_type": self.content_type,
        }
        if self.metadata:
            body["metadata"] = dict(self.metadata)
        return body


@dataclass(frozen=True)
class Uploaded:
    """An artifact that the control plane holds."""

    artifact_id: str
    deduplicated: bool


@dataclass(frozen=True)
class Upload:
    """Uploads artifacts of one identity."""

    identity: Identity
    plane: Uplink
    sending: Retry
    settling: Retry
    progress: Progress

    def run(self, artifact: Artifact) -> Uploaded:
        """Upload and wait until the artifact is stored."""
        uploaded = self.sending.run(lambda left: self._send(artifact, left), gave_up=GAVE_UP)
        if not uploaded.deduplicated:
            self.settling.run(
                lambda left: self._see_stored(uploaded.artifact_id, left),
                gave_up=f"{uploaded.artifact_id} is uploaded but not verified yet; it may still be "
                f"stored. {GAVE_UP}",
            )
        return uploaded

    def _send(self, artifact: Artifact, left: float) -> Uploaded:
        """Ask for a presigned POST and use it; each attempt asks for a new one."""
        if artifact.file.has_changed():
            raise file_changed(artifact.file.path)
        answer = self._call("POST", (), left, artifact.announcement())
        artifact_id = _artifact_id(answer)
        if (answer.body or {}).get("deduplicated") is True:
            return Uploaded(artifact_id, deduplicated=True)
        url, fields = _presigned(answer)
        self.progress(0)
        started = self.sending.clock.monotonic()
        form = FileForm(fields, artifact.file, artifact.content_type, self.progress)
        try:
            posted = self.plane.post_form(url, form)
        except NoAnswerError as failure:
            if artifact.file.has_changed():
                raise file_changed(artifact.file.path) from failure
            raise TransientError(f"The upload broke off: {failure.reason}.") from failure
        if not posted.succeeded:
            if artifact.file.has_changed():
                # The store has computed the digest of something else than was announced.
                raise file_changed(artifact.file.path)
            raise _store_refusal(posted, self.sending.clock.monotonic() - started)
        return Uploaded(artifact_id, deduplicated=False)

    def _see_stored(self, artifact_id: str, left: float) -> None:
        answer = self._call("GET", (artifact_id,), left)
        status = answer.text("status") or "unknown"
        if status == "stored":
            return
        if status == "pending":
            raise TransientError(f"{artifact_id} is being verified.")
        why = f" ({clean(reason, 64)})" if (reason := answer.text("reason")) else ""
        raise AgentError(
            f"The control plane did not keep {artifact_id}: {clean(status, 64)}{why}. "
            "Next: upload the file again; if it lasts, ask an operator.",
            ExitCode.REFUSED,
        )

    def _call(
        self,
        method: str,
        below: tuple[str, ...],
        left: float,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        path = agent_path(self.identity.agent_id, "artifacts", *below)
        call = Call(method, path, body=body, bearer=self.identity.key, timeout=left)
        return settled(lambda: self.plane.call(call))


def _guessed(path: Path) -> str:
    """Guess from the name; what no control plane takes goes as plain bytes."""
    guess = mimetypes.guess_type(path.name)[0]
    return guess if guess in _WELL_KNOWN else "application/octet-stream"


def _artifact_id(answer: Answer) -> str:
    artifact_id = answer.text("artifact_id") or ""
    if not is_credential(artifact_id):
        raise _unusable()
    return artifact_id


def _presigned(answer: Answer) -> tuple[str, dict[str, str]]:
    """Take URL and fields of the presigned POST out of the answer."""
    upload = (answer.body or {}).get("upload")
    if not isinstance(upload, dict):
        raise _unusable()
    url, fields = upload.get("url"), upload.get("fields")
    if not isinstance(url, str) or not isinstance(fields, dict):
        raise _unusable()
    if not all(isinstance(value, str) for value in fields.values()):
        raise _unusable()
    return url, fields


def _store_refusal(posted: Answer, took: float) -> TransientError | AgentError:
    """Decide whether the object store may think otherwise about a fresh presigned POST."""
    said = f"The object store refused the upload (HTTP {posted.status})."
    # 403 is how it says that a policy has expired, which a slow upload can bring about.
    has_expired = posted.status == _FORBIDDEN and took >= _SLOW_SECONDS
    if posted.is_transient or has_expired:
        return TransientError(said, posted.retry_after)
    return AgentError(f"{said} Next: ask an operator.", ExitCode.REFUSED)


def _unusable() -> AgentError:
    return AgentError(
        f"The control plane's answer about the upload cannot be used. {GAVE_UP}",
        ExitCode.UNREACHABLE,
    )
