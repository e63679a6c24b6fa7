"""Announcing artifacts, and looking at them."""

import hashlib
from itertools import islice
from typing import Annotated, Literal

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, NotFound, TooLarge, TooMany, UnsupportedType
from chalicelib.evidence.events import ArtifactDescribed, ArtifactRequested, Detail
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import ContentType, Filename, Metadata, Sha256
from chalicelib.flows import facts_document
from chalicelib.flows.contention import Patience
from chalicelib.flows.hardware_fingerprints import masked
from chalicelib.store import agent_identities, artifacts, audit_records
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.artifact_bucket import ArtifactAddress, ArtifactBucket, UploadForm
from chalicelib.store.artifacts import PENDING, STORED, ArtifactItem
from chalicelib.store.transaction import Transaction

SCOPE = "agent:artifact_upload"
LARGEST = 100 * 1024 * 1024
MOST_AN_HOUR = 60
UPLOAD_SECONDS = 900
DOWNLOAD_SECONDS = 300
EXPIRED = "expired"
CONTENT_TYPES = frozenset(
    {
        "application/gzip",
        "application/json",
        "application/octet-stream",
        "application/x-ndjson",
        "application/x-tar",
        "application/zip",
        "application/zstd",
        "text/plain",
    }
)
Kind = Literal["incident_bundle", "state_snapshot", "runtime_diagnostics"]


class ArtifactRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent announces: `size` in bytes, `sha256` in lower-case hex."""

    kind: Kind
    filename: Filename
    size: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    sha256: Sha256
    content_type: ContentType
    metadata: Metadata = {}


class ArtifactTools(msgspec.Struct, frozen=True):
    """What the flow needs from outside."""

    bucket: ArtifactBucket
    patience: Patience


class Announced(msgspec.Struct, frozen=True):
    """The artifact, and the upload that it waits for; none where the content is stored already."""

    row: ArtifactItem
    form: UploadForm | None


def status_of(row: ArtifactItem, now: int) -> str:
    """`pending`, `stored`, `rejected`, or `expired`: the upload never came, or was kept its time.

    The bucket removes what was kept its time by its own rule, and the row may outlive that.
    """
    overdue = row.status == PENDING and now > int(row.deadline)
    return EXPIRED if overdue or _kept_its_time(row, now) else str(row.status)


def _kept_its_time(row: ArtifactItem, now: int) -> bool:
    return row.status == STORED and row.ttl is not None and now >= row.ttl.timestamp() * 1000


def announce(
    tools: ArtifactTools, origin: Origin, presence: AgentPresenceItem, request: ArtifactRequest
) -> Announced:
    """Hand out a presigned upload, unless this agent has stored the same content before.

    The identifier follows from agent, kind and content, so the row itself is the memory of what
    was stored; another agent's content is never found, so that this is no oracle. Of stored content
    the name, type and metadata that were announced last stand; the evidence keeps the former ones.

    Raises:
        UnsupportedType: the content type is not accepted.
        TooLarge: over `LARGEST` bytes.
        TooMany: over `MOST_AN_HOUR` announcements of this agent in this hour.
        Conflict: this content is stored, and has another size.
    """
    _within_limits(request)
    address = _address(origin.organization, presence.agent, request)
    for _ in tools.patience.rounds():
        seen = artifacts.find(address.organization, address.agent, address.artifact)
        is_stored = seen is not None and status_of(seen, origin.now) == STORED
        if seen is not None and is_stored:
            _same_size(seen, request)
        if seen is not None and is_stored and _is_described_by(seen, request):
            return Announced(seen, None)
        transaction = Transaction()
        artifacts.count(
            transaction, origin.organization, presence.agent, now=origin.now, most=MOST_AN_HOUR
        )
        if seen is not None and is_stored:
            _describe(transaction, origin, seen, request, address)
            announced = Announced(seen, None)
        else:
            row = _pending(origin, presence, request, address)
            artifacts.announce(transaction, row, seen)
            audit_records.put(transaction, _evidence(origin, row, address))
            announced = Announced(row, _form(tools.bucket, address, request))
        cancelled = transaction.write()
        if cancelled is None:
            return announced
        if "count" in cancelled.refused:
            wait = 3600 - origin.now // 1000 % 3600
            raise TooMany(
                "This agent announced too many artifacts.",
                code="too_many_artifacts",
                seconds=wait,
            )
    raise AssertionError("unreachable: patience raises")


def _is_described_by(row: ArtifactItem, request: ArtifactRequest) -> bool:
    return (row.filename, row.content_type, dict(row.metadata or {})) == (
        request.filename,
        request.content_type,
        request.metadata,
    )


def _describe(
    transaction: Transaction,
    origin: Origin,
    row: ArtifactItem,
    request: ArtifactRequest,
    address: ArtifactAddress,
) -> None:
    artifacts.describe(
        transaction,
        row,
        filename=request.filename,
        content_type=request.content_type,
        metadata=request.metadata,
    )
    # An agent chooses these texts, and evidence lasts: it holds no fingerprint of hardware.
    detail = ArtifactDescribed(
        artifact_id=address.artifact,
        agent_id=address.agent,
        filename=masked(request.filename),
        content_type=request.content_type,
        metadata=facts_document.shown(request.metadata),
        previous_filename=masked(str(row.filename)),
        previous_content_type=str(row.content_type),
        previous_metadata=facts_document.shown(dict(row.metadata or {})),
    )
    audit_records.put(transaction, _success(origin, row, detail))


def _within_limits(request: ArtifactRequest) -> None:
    if request.content_type not in CONTENT_TYPES:
        raise UnsupportedType(
            "Artifacts of this content type are not accepted.",
            code="artifact_type_refused",
            extra={"accepted": sorted(CONTENT_TYPES)},
        )
    if request.size > LARGEST:
        raise TooLarge(
            "The artifact is too large.",
            code="artifact_too_large",
            extra={"largest": LARGEST},
        )


def _same_size(stored: ArtifactItem, request: ArtifactRequest) -> None:
    # S3 has counted and hashed what is stored, so the announcement is wrong. To call it the same
    # would confirm a size that the content does not have.
    if int(stored.size) != request.size:
        raise Conflict(
            f"This content is stored already and has {int(stored.size)} bytes, not "
            f"{request.size}. The file may have changed while it was read: read it once more.",
            code="artifact_size_differs",
            extra={"stored_size": int(stored.size)},
        )


def _address(organization: str, agent: str, request: ArtifactRequest) -> ArtifactAddress:
    seed = f"{organization}\n{agent}\n{request.kind}\n{request.sha256}"
    artifact = ids.derived(ids.ARTIFACT, hashlib.sha256(seed.encode()).digest())
    return ArtifactAddress(organization, agent, artifact)


def _pending(
    origin: Origin,
    presence: AgentPresenceItem,
    request: ArtifactRequest,
    address: ArtifactAddress,
) -> ArtifactItem:
    row = artifacts.pending(
        address.organization,
        address.agent,
        address.artifact,
        created_at=origin.now,
        deadline=origin.now + UPLOAD_SECONDS * 1000,
    )
    row.kind = request.kind
    row.filename = request.filename
    row.size = request.size
    row.sha256 = request.sha256
    row.content_type = request.content_type
    row.metadata = request.metadata
    row.project = presence.project
    row.environment = presence.environment
    return row


def _form(bucket: ArtifactBucket, address: ArtifactAddress, request: ArtifactRequest) -> UploadForm:
    return bucket.upload_form(
        address,
        size=request.size,
        sha256=request.sha256,
        content_type=request.content_type,
        seconds=UPLOAD_SECONDS,
    )


def _evidence(origin: Origin, row: ArtifactItem, address: ArtifactAddress) -> Evidence:
    detail = ArtifactRequested(
        artifact_id=address.artifact,
        agent_id=address.agent,
        kind=str(row.kind),
        size=int(row.size),
        sha256=str(row.sha256),
    )
    return _success(origin, row, detail)


def _success(origin: Origin, row: ArtifactItem, detail: Detail) -> Evidence:
    return success(
        origin,
        detail,
        resource=("artifact", str(row.item)),
        project=row.project,
        environment=row.environment,
    )


def get(organization: str, agent: str, artifact: str) -> ArtifactItem:
    """One artifact of an agent of the organization.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    known = ids.is_a(ids.AGENT, agent) and ids.is_a(ids.ARTIFACT, artifact)
    row = artifacts.find(organization, agent, artifact) if known else None
    if row is None:
        raise NotFound("There is no such artifact.", code="artifact_not_found")
    return row


def page(
    organization: str, agent: str, *, after: str | None, limit: int
) -> tuple[list[ArtifactItem], str | None]:
    """An agent's artifacts, and after which one the list goes on.

    Raises:
        NotFound: there is no such agent in the organization.
    """
    known = ids.is_a(ids.AGENT, agent)
    if not known or agent_identities.find(organization, agent) is None:
        raise NotFound("There is no such agent.", code="agent_not_found")
    rows = list(islice(artifacts.listed(organization, agent, after=after, limit=limit), limit + 1))
    more = len(rows) > limit
    return rows[:limit], str(rows[limit - 1].item) if more else None


def download(bucket: ArtifactBucket, organization: str, agent: str, artifact: str, now: int) -> str:
    """A presigned download of a stored artifact, valid for `DOWNLOAD_SECONDS`.

    Raises:
        NotFound: there is no such stored artifact in the organization.
    """
    row = get(organization, agent, artifact)
    if status_of(row, now) != STORED:
        raise NotFound("This artifact is not stored.", code="artifact_not_stored")
    return bucket.download_url(
        ArtifactAddress(organization, agent, artifact),
        filename=str(row.filename),
        seconds=DOWNLOAD_SECONDS,
    )
