"""The verdict on an upload: what S3 says of the object against what the agent announced."""

import datetime
from collections.abc import Callable

import msgspec

from chalicelib import ids
from chalicelib.evidence.events import ArtifactRejected, ArtifactStored, Detail
from chalicelib.evidence.record import Origin, success
from chalicelib.flows.contention import Patience
from chalicelib.store import agent_presence, artifacts, audit_records, presence_changes
from chalicelib.store.agent_presence import QUARANTINED, REVOKED
from chalicelib.store.artifact_bucket import ArtifactAddress, ArtifactBucket, ObjectFacts
from chalicelib.store.artifacts import PENDING, REJECTED, STORED, ArtifactItem
from chalicelib.store.transaction import Transaction

KEPT_REJECTED = datetime.timedelta(days=7)


class VerifyTools(msgspec.Struct, frozen=True):
    """What the flow needs from outside."""

    bucket: ArtifactBucket
    patience: Patience
    clock: Callable[[], int]
    request_id: str
    kept_stored: datetime.timedelta


def verify(tools: VerifyTools, key: str) -> str:
    """Make an artifact `stored` or `rejected`, once; a repeated notification changes nothing.

    Returns what came of it, for the log: `stored`, `rejected`, `unknown` (no such artifact, or
    its verdict was given before: the object goes), `gone` (no such object), `foreign` (a key
    that no upload of ours has).

    Raises:
        Unavailable: DynamoDB or S3 did not answer; S3's notification is repeated.
    """
    address = ArtifactAddress.of_incoming(key)
    if address is None or not _is_ours(address):
        return "foreign"
    for _ in tools.patience.rounds():
        verdict = _look(tools, address)
        if verdict is not None:
            return verdict
    raise AssertionError("unreachable: patience raises")


def _look(tools: VerifyTools, address: ArtifactAddress) -> str | None:
    """One attempt; None where the row changed between the look and the write."""
    facts = tools.bucket.describe_incoming(address)
    if facts is None:
        return "gone"
    row = artifacts.find(address.organization, address.agent, address.artifact)
    if row is None or row.status != PENDING:
        tools.bucket.discard_incoming(address)
        return "unknown"
    reason = _mismatch(row, facts) or _not_allowed(address)
    if reason is None and not tools.bucket.keep(address, facts.etag):
        return "gone"
    if not _settled(tools, address, row, reason):
        return None
    tools.bucket.discard_incoming(address)
    return REJECTED if reason else STORED


def _is_ours(address: ArtifactAddress) -> bool:
    return (
        ids.is_a(ids.ORGANIZATION, address.organization)
        and ids.is_a(ids.AGENT, address.agent)
        and ids.is_a(ids.ARTIFACT, address.artifact)
    )


def _not_allowed(address: ArtifactAddress) -> str | None:
    # A form that was handed out before a revoke or a quarantine is good for minutes; what comes by
    # it is not kept.
    presence = agent_presence.find(address.organization, address.agent)
    if presence is None or presence.status == REVOKED:
        return "agent_revoked"
    return "agent_quarantined" if presence.status == QUARANTINED else None


def _mismatch(row: ArtifactItem, facts: ObjectFacts) -> str | None:
    if facts.size != row.size:
        return "size_mismatch"
    if facts.sha256 is None:
        # S3 computes it from the form that we signed; an object without one came another way.
        return "checksum_missing"
    if facts.sha256 != row.sha256:
        return "checksum_mismatch"
    return None if facts.content_type == row.content_type else "content_type_mismatch"


def _settled(
    tools: VerifyTools, address: ArtifactAddress, row: ArtifactItem, reason: str | None
) -> bool:
    now = tools.clock()
    transaction = Transaction()
    if reason is None:
        presence_changes.check_trusted(transaction, address.organization, address.agent)
    artifacts.settle(
        transaction,
        row,
        status=REJECTED if reason else STORED,
        reason=reason,
        now=now,
        kept=KEPT_REJECTED if reason else tools.kept_stored,
    )
    origin = Origin(
        organization=address.organization,
        actor_type="agent",
        actor_id=address.agent,
        request_id=tools.request_id,
        source_address=None,
        now=now,
    )
    audit_records.put(
        transaction,
        success(
            origin,
            _detail(address, row, reason),
            resource=("artifact", address.artifact),
            project=row.project,
            environment=row.environment,
        ),
    )
    return transaction.write() is None


def _detail(address: ArtifactAddress, row: ArtifactItem, reason: str | None) -> Detail:
    if reason is not None:
        return ArtifactRejected(artifact_id=address.artifact, agent_id=address.agent, reason=reason)
    return ArtifactStored(
        artifact_id=address.artifact,
        agent_id=address.agent,
        kind=str(row.kind),
        size=int(row.size),
        sha256=str(row.sha256),
    )
