"""How rows look from outside. No secret and no hash of one has a place here."""

from typing import Any

from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record_form import record_form
from chalicelib.flows import artifacts as artifact_flow
from chalicelib.flows import tokens as token_flow
from chalicelib.flows.agents import Agent
from chalicelib.flows.enrollment import Enrolled
from chalicelib.flows.facts import Facts
from chalicelib.store.agent_presence import QUARANTINED, AgentPresenceItem
from chalicelib.store.artifacts import ArtifactItem
from chalicelib.store.audit_records import AuditRecordItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.jobs import JobItem


def _time(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else rfc3339(int(milliseconds))


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else bytes(digest).hex()


def token(row: EnrollmentTokenItem, now: int) -> dict[str, Any]:
    """An enrollment token without its secret."""
    return {
        "enrollment_token_id": row.token,
        "project": row.project,
        "environment": row.environment,
        "status": token_flow.status_of(row, now),
        "uses": int(row.uses),
        "max_uses": int(row.max_uses),
        "created_at": _time(row.created_at),
        "created_by": row.created_by,
        "expires_at": _time(row.expires_at),
        "hostname": row.hostname,
        "source_cidrs": row.source_cidrs or [],
        "labels": row.labels or {},
        "note": row.note,
        "replace_machine": bool(row.replace_machine),
        "replace_offline_seconds": int(row.replace_offline) if row.replace_offline else None,
    }


def agent(found: Agent) -> dict[str, Any]:
    """An agent with its status of this moment."""
    identity, presence = found.identity, found.presence
    return {
        "agent_id": identity.agent_id,
        "name": identity.name,
        "status": found.status,
        "project": identity.project,
        "environment": identity.environment,
        "labels": identity.labels or {},
        "hostname": identity.hostname,
        "os": identity.os,
        "arch": identity.arch,
        "agent_version": (presence and presence.version) or identity.agent_version,
        "collector_id": identity.collector,
        "asset_id": identity.asset,
        "certificate_id": identity.certificate,
        "enrollment_token_id": identity.token,
        "enrolled_at": _time(identity.created_at),
        "last_seen_at": _time(presence.last_seen if presence else None),
        "unpersisted": bool(presence and presence.unpersisted),
        "revoked_at": _time(identity.revoked_at),
        "replaced_by": identity.replaced_by,
        "same_machine": list(found.same_machine),
        "machine_crowded": found.machine_crowded,
        "facts_sha256": _hex(presence.facts if presence else None),
        "quarantine": _quarantine(found),
        "key_rotation": _key_rotation(presence),
    }


def _quarantine(found: Agent) -> dict[str, Any] | None:
    if found.presence is None or found.presence.status != QUARANTINED:
        return None
    noted = found.identity.quarantine or {}
    return {
        "reason": noted.get("reason"),
        "since": noted.get("since"),
        "note": noted.get("note"),
        "copies": noted.get("copies") or [],
    }


def _key_rotation(presence: AgentPresenceItem | None) -> str:
    if presence is None:
        return "none"
    if presence.pending_key is not None and presence.pending_key != presence.key:
        return "pending"
    return "requested" if presence.rotation_requested else "none"


def facts(agent_id: str, found: Facts) -> dict[str, Any]:
    """What a host says about itself, and how that changed, newest first."""
    return {
        "agent_id": agent_id,
        "facts": found.facts,
        "facts_sha256": _hex(found.sha256),
        "received_at": _time(found.received_at),
        "changes": found.changes,
    }


def enrolled(result: Enrolled, api_base_url: str, now: int) -> dict[str, Any]:
    """What a host gets for its token; the only place where a runtime key is shown."""
    identity = result.identity
    certificate = None
    if result.csr is not None:
        certificate = {
            "certificate_id": identity.certificate,
            "csr_sha256": result.csr.csr_sha256,
            "public_key_sha256": result.csr.public_key_sha256,
            "key_type": result.csr.key_type,
            "placeholder": True,
        }
    return {
        "agent_id": identity.agent_id,
        "name": identity.name,
        "organization": result.organization,
        "project": identity.project,
        "environment": identity.environment,
        "labels": identity.labels or {},
        "collector_id": identity.collector,
        "asset_id": identity.asset,
        "runtime_key": result.key.raw,
        "runtime_key_expires_at": _time(result.key.expires_at),
        "scopes": sorted(result.scopes),
        "heartbeat_interval_seconds": result.heartbeat_interval,
        "api_base_url": api_base_url,
        "server_time": rfc3339(now),
        "certificate": certificate,
        "replayed": result.replayed,
    }


def artifact(row: ArtifactItem, now: int) -> dict[str, Any]:
    """An artifact."""
    return {
        "artifact_id": row.item,
        "agent_id": row.pk.split("#", 1)[1],
        "status": artifact_flow.status_of(row, now),
        "reason": row.reason,
        "kind": row.kind,
        "filename": row.filename,
        "size": int(row.size),
        "sha256": row.sha256,
        "content_type": row.content_type,
        "metadata": row.metadata or {},
        "announced_at": _time(row.created_at),
        "upload_expires_at": _time(row.deadline),
        "settled_at": _time(row.settled_at),
    }


def job(row: JobItem) -> dict[str, Any]:
    """A job."""
    return {
        "job_id": row.job_id,
        "kind": row.kind,
        "status": row.status,
        "target": row.target,
        "processed": int(row.processed),
        "total": None if row.total is None else int(row.total),
        "last_error": row.last_error,
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
    }


def audit_record(row: AuditRecordItem) -> dict[str, Any]:
    """An audit record."""
    return record_form(row)
