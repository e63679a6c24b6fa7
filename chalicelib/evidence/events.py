"""The events, each with the members of its own; `catalog` lists them all.

A new event is a class here, or in `member_events`. Members are append-only: a consumer may rely
on what it once saw.
No secret, certificate body or hardware fingerprint has a member; what must be recognised again
is there as its SHA-256.
"""

from typing import ClassVar

import msgspec


class Detail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an event says beyond the envelope. `NAME` is the event's public name."""

    NAME: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1

    @classmethod
    def event(cls) -> str:
        """The public name of the event."""
        return cls.NAME


class OrganizationBootstrapped(Detail, frozen=True, kw_only=True):
    """An organization, its first project, environment and key were created by the deployer."""

    NAME = "organization.bootstrapped"
    organization_name: str
    project_id: str
    environment_id: str
    key_id: str
    admin_user_id: str | None = None


class EnrollmentTokenIssued(Detail, frozen=True, kw_only=True):
    """An operator minted an enrollment token."""

    NAME = "agent.enrollment_token.issued"
    token_id: str
    max_uses: int
    expires_at: str
    hostname: str | None = None
    source_cidrs: list[str] = []
    labels: dict[str, str] = {}
    replace_machine: bool = False
    replace_offline_seconds: int | None = None


class EnrollmentTokenRevoked(Detail, frozen=True, kw_only=True):
    """An enrollment token stopped admitting anybody."""

    NAME = "agent.enrollment_token.revoked"
    token_id: str
    uses: int
    note: str | None = None


class EnrollmentFailed(Detail, frozen=True, kw_only=True):
    """The holder of a real enrollment token was refused."""

    NAME = "agent.enrollment.failed"
    token_id: str
    reason: str
    claimed_hostname: str | None = None
    claimed_name: str | None = None


class AgentEnrolled(Detail, frozen=True, kw_only=True):
    """A host exchanged an enrollment token for an identity.

    `runtime_key_sha256` is the hash of the key that was handed out, `former_agent_id` the agent
    whose place it took.
    """

    NAME = "agent.enrolled"
    agent_id: str
    name: str
    token_id: str
    hostname: str | None
    collector_id: str
    asset_id: str
    runtime_key_sha256: str
    runtime_key_expires_at: str
    certificate_id: str | None = None
    csr_sha256: str | None = None
    former_agent_id: str | None = None


class EnrollmentReplayed(Detail, frozen=True, kw_only=True):
    """A host asked again after a lost answer and got its agent with a fresh runtime key."""

    NAME = "agent.enrollment.replayed"
    agent_id: str
    token_id: str
    runtime_key_sha256: str
    runtime_key_expires_at: str


class AgentOnline(Detail, frozen=True, kw_only=True):
    """An agent beat for the first time, or again after it was offline."""

    NAME = "agent.online"
    agent_id: str
    previous: str


class AgentRestarted(Detail, frozen=True, kw_only=True):
    """A beat came from a new process of the agent."""

    NAME = "agent.restarted"
    agent_id: str


class AgentOffline(Detail, frozen=True, kw_only=True):
    """An agent missed its beats."""

    NAME = "agent.offline"
    agent_id: str
    last_seen_at: str


class AgentUpdated(Detail, frozen=True, kw_only=True):
    """An operator renamed or labelled an agent; the labels are all that it has, and all it had."""

    NAME = "agent.updated"
    agent_id: str
    name: str
    previous_name: str
    labels: dict[str, str] = {}
    previous_labels: dict[str, str] = {}


class AgentRevoked(Detail, frozen=True, kw_only=True):
    """An agent's identity ended: its next request is refused."""

    NAME = "agent.revoked"
    agent_id: str
    note: str | None = None
    job_id: str | None = None


class HeartbeatRefused(Detail, frozen=True, kw_only=True):
    """A heartbeat under a valid signature was refused."""

    NAME = "agent.heartbeat.refused"
    agent_id: str
    reason: str


class ArtifactRequested(Detail, frozen=True, kw_only=True):
    """An agent announced an artifact and was handed a presigned upload."""

    NAME = "artifact.requested"
    artifact_id: str
    agent_id: str
    kind: str
    size: int
    sha256: str


class ArtifactStored(Detail, frozen=True, kw_only=True):
    """The uploaded object is what was announced, and is kept."""

    NAME = "artifact.stored"
    artifact_id: str
    agent_id: str
    kind: str
    size: int
    sha256: str


class ArtifactDescribed(Detail, frozen=True, kw_only=True):
    """An agent announced stored content with another name, type or metadata, which stand now."""

    NAME = "artifact.described"
    artifact_id: str
    agent_id: str
    filename: str
    content_type: str
    metadata: dict[str, str]
    previous_filename: str
    previous_content_type: str
    previous_metadata: dict[str, str]


class ArtifactRejected(Detail, frozen=True, kw_only=True):
    """The uploaded object is not what was announced, and was removed."""

    NAME = "artifact.rejected"
    artifact_id: str
    agent_id: str
    reason: str


class JobStarted(Detail, frozen=True, kw_only=True):
    """A bulk change was accepted."""

    NAME = "job.started"
    job_id: str
    kind: str
    token_id: str


class JobFinished(Detail, frozen=True, kw_only=True):
    """A bulk change ended: `done` after the last row, `failed` after the last attempt."""

    NAME = "job.finished"
    job_id: str
    kind: str
    status: str
    processed: int


class AccessDenied(Detail, frozen=True, kw_only=True):
    """An authenticated caller was refused what its credential does not allow.

    `count` is the number of attempts since the record before, this one included.
    """

    NAME = "access.denied"
    route: str
    reason: str
    count: int


class AuditTampered(Detail, frozen=True, kw_only=True):
    """An audit record was `modified` or `removed` in the table, or a sealed batch was `forged`.

    Nothing of Rollcall does any of these: somebody with other rights to the account has.
    """

    NAME = "audit.tampered"
    target: str
    target_id: str
    change: str


class AuditExportRequested(Detail, frozen=True, kw_only=True):
    """An operator asked for the audit records of a time range as files."""

    NAME = "audit.export_requested"
    job_id: str
    since: str
    until: str
    resource_type: str | None = None
    resource_id: str | None = None
