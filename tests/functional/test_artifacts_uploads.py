"""The verdict on uploads: what S3 says of an object against what the agent announced."""

import hashlib
from typing import Any

import pytest

from chalicelib import ids, runtime, workers
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import interleaved
from tests.functional.world import CONTENT, artifact_wish, empty_tables, put_incoming

REASONS = {"revoke": "agent_revoked", "quarantine": "agent_quarantined"}


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def host(tenant: Tenant) -> Host:
    enrolled = tenant.enroll()
    assert enrolled.beat().status == 200
    return enrolled


def announce(host: Host, content: bytes = CONTENT, **more: Any) -> Answer:
    """An announcement."""
    return host.call("POST", "/artifacts", artifact_wish(content, **more))


def announced(host: Host, content: bytes = CONTENT, **more: Any) -> str:
    """The identifier of an announced artifact."""
    answer = announce(host, content, **more)
    assert answer.status == 201, answer.body
    return str(answer.body["artifact_id"])


def status(host: Host, artifact: str) -> tuple[str, str | None]:
    """Status and reason of an artifact, as its agent sees them."""
    answer = host.call("GET", f"/artifacts/{artifact}")
    assert answer.status == 200, answer.body
    return answer.body["status"], answer.body["reason"]


def objects(prefix: str, tenant: Tenant) -> list[str]:
    """The keys of the tenant's objects below a prefix."""
    now = runtime.current()
    listed = now._client("s3").list_objects_v2(
        Bucket=now.settings.bucket, Prefix=f"{prefix}/{tenant.organization}/"
    )
    return [found["Key"] for found in listed.get("Contents", [])]


def stored(tenant: Tenant, host: Host, content: bytes = CONTENT, **more: Any) -> str:
    """An artifact that was uploaded and verified."""
    artifact = announced(host, content, **more)
    key = put_incoming(tenant, host.agent_id, artifact, content)
    assert workers.verify(key, None) == "stored"
    return artifact


def test_an_upload_that_is_what_was_announced_is_stored(tenant: Tenant, host: Host) -> None:
    artifact = announced(host, metadata={"case": "42"})
    assert status(host, artifact) == ("pending", None)
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key, None) == "stored"
    assert status(host, artifact) == ("stored", None)
    assert objects("incoming", tenant) == []
    assert objects("artifacts", tenant) == [key.replace("incoming/", "artifacts/")]
    seen = tenant.call("GET", f"/agents/{host.agent_id}/artifacts/{artifact}").body
    assert seen == {
        "artifact_id": artifact,
        "agent_id": host.agent_id,
        "status": "stored",
        "reason": None,
        "kind": "incident_bundle",
        "filename": "bundle.tar.gz",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "content_type": "application/gzip",
        "metadata": {"case": "42"},
        "announced_at": "2026-05-28T20:26:40.000Z",
        "upload_expires_at": "2026-05-28T20:41:40.000Z",
        "settled_at": "2026-05-28T20:26:40.000Z",
    }


def test_a_repeated_notification_and_a_repeated_upload_change_nothing(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    artifact = stored(tenant, host)
    before = tenant.call("GET", f"/agents/{host.agent_id}/artifacts/{artifact}").body
    key = f"incoming/{tenant.organization}/{host.agent_id}/{artifact}"
    clock.advance(seconds=10)
    assert workers.verify(key, None) == "gone"
    put_incoming(tenant, host.agent_id, artifact, b"something else")
    assert workers.verify(key, None) == "unknown"
    assert objects("incoming", tenant) == []
    now = runtime.current()
    kept = now._client("s3").get_object(
        Bucket=now.settings.bucket, Key=key.replace("incoming/", "artifacts/")
    )
    assert kept["Body"].read() == CONTENT
    assert tenant.call("GET", f"/agents/{host.agent_id}/artifacts/{artifact}").body == before
    events = [record["event"] for record in tenant.audit("artifact", artifact)]
    assert sorted(events) == ["artifact.requested", "artifact.stored"]


@pytest.mark.parametrize(
    ("content", "more", "reason"),
    [
        (CONTENT + b"x", {}, "size_mismatch"),
        (b"", {}, "size_mismatch"),
        (CONTENT[::-1], {}, "checksum_mismatch"),
        (CONTENT, {"ContentType": "text/html"}, "content_type_mismatch"),
        (CONTENT, {"ChecksumAlgorithm": "CRC32"}, "checksum_missing"),
    ],
)
def test_an_upload_that_is_something_else_is_rejected_and_removed(
    tenant: Tenant, host: Host, content: bytes, more: dict[str, Any], reason: str
) -> None:
    artifact = announced(host)
    key = put_incoming(tenant, host.agent_id, artifact, content, **more)
    assert workers.verify(key, None) == "rejected"
    assert status(host, artifact) == ("rejected", reason)
    assert objects("incoming", tenant) == objects("artifacts", tenant) == []
    record = next(
        found
        for found in tenant.audit("artifact", artifact)
        if found["event"] == "artifact.rejected"
    )
    assert record["detail"]["reason"] == reason
    assert record["actor"] == {"type": "agent", "id": host.agent_id}


def test_a_rejected_artifact_can_be_announced_again(tenant: Tenant, host: Host) -> None:
    artifact = announced(host)
    key = put_incoming(tenant, host.agent_id, artifact, b"wrong")
    assert workers.verify(key, None) == "rejected"
    assert announced(host) == artifact
    assert status(host, artifact) == ("pending", None)
    put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key, None) == "stored"
    assert status(host, artifact) == ("stored", None)


def test_an_upload_that_nobody_announced_is_removed(tenant: Tenant, host: Host) -> None:
    key = put_incoming(tenant, host.agent_id, ids.new("art"), CONTENT)
    assert workers.verify(key, None) == "unknown"
    assert objects("incoming", tenant) == []


@pytest.mark.parametrize(
    "key",
    [
        "", "incoming", "incoming/", "incoming/a/b/c", "other/x", "incoming/../../etc/passwd",
        "deploy-state/chalice.json", "artifacts/{org}/{agent}/{art}", "incoming/{org}/{agent}",
        "incoming/{org}/{agent}/{art}/x", "incoming/{org}/{agent}/..", "incoming//{agent}/{art}",
        "incoming/{org}%2F{agent}%2Fx/y", "incoming/{org}/{agent}/art_\U0001f4a5", "%00", "+",
    ],
)  # fmt: skip
def test_a_key_that_no_upload_of_ours_has_is_left_alone(
    tenant: Tenant, host: Host, key: str
) -> None:
    parts = {"org": tenant.organization, "agent": host.agent_id, "art": ids.new("art")}
    assert workers.verify(key.format(**parts), None) == "foreign"


def test_a_key_comes_url_encoded(tenant: Tenant, host: Host) -> None:
    artifact = announced(host)
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key.replace("_", "%5F").replace("/", "%2F"), None) == "stored"


@pytest.mark.parametrize("end", ["revoke", "quarantine"])
def test_what_comes_by_a_form_from_before_the_end_is_not_kept(
    tenant: Tenant, host: Host, end: str
) -> None:
    artifact = announced(host)
    assert tenant.call("POST", f"/agents/{host.agent_id}/{end}").status == 200
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key, None) == "rejected"
    seen = tenant.call("GET", f"/agents/{host.agent_id}/artifacts/{artifact}").body
    assert (seen["status"], seen["reason"]) == ("rejected", REASONS[end])
    assert objects("incoming", tenant) == objects("artifacts", tenant) == []


@pytest.mark.parametrize("end", ["revoke", "quarantine"])
def test_an_agent_that_is_stopped_while_its_upload_is_looked_at_stores_nothing(
    tenant: Tenant, host: Host, end: str
) -> None:
    artifact = announced(host)
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    path = f"/agents/{host.agent_id}"
    with interleaved(lambda: tenant.call("POST", f"{path}/{end}"), on="TransactWriteItems"):
        assert workers.verify(key, None) == "rejected"
    seen = tenant.call("GET", f"{path}/artifacts/{artifact}").body
    assert (seen["status"], seen["reason"]) == ("rejected", REASONS[end])
    assert tenant.call("GET", f"{path}/artifacts/{artifact}/download").status == 404


def test_an_upload_that_a_quarantine_refused_may_be_sent_again_after_it(
    tenant: Tenant, host: Host
) -> None:
    artifact = announced(host)
    path = f"/agents/{host.agent_id}"
    assert tenant.call("POST", f"{path}/quarantine").status == 200
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key, None) == "rejected"
    assert tenant.call("POST", f"{path}/release", {"decision": "keep"}).status == 200
    assert announced(host) == artifact
    assert workers.verify(put_incoming(tenant, host.agent_id, artifact, CONTENT), None) == "stored"
