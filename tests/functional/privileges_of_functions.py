"""What all functions do in a day, so that it can be seen which permissions that needs."""

import hashlib
import json
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.evidence.envelope import rfc3339
from tests.functional.api import Tenant
from tests.functional.batches import sealed
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.iam_trace import Trace
from tests.functional.laws.copies import noticed
from tests.functional.laws.deletions import deletions_of_all_kinds, run
from tests.functional.laws.faults import CONFLICT, injected
from tests.functional.logins import account, attempt, call, session_of
from tests.functional.world import organization_key_with

_IDEMPOTENCY_KEY = "k" * 43


def login_story(tenant: Tenant) -> None:
    """Log in, make and end a personal token, log out."""
    who = account(tenant)
    assert attempt(who.username, f"{MARK} wrong").status == 401
    session = session_of(who)
    body = {"name": "x", "scopes": ["agents:read"], "ttl_seconds": 60}
    made = call(tenant, session, "POST", "/me/tokens", body)
    assert made.status == 201, made.body
    ended = call(tenant, session, "DELETE", f"/me/tokens/{made.body['personal_token_id']}")
    assert ended.status == 200, ended.body
    assert call(tenant, session, "POST", "/auth/logout").status == 200


def whole_story(tenant: Tenant, stack: dict[str, str], clock: FrozenClock, trace: Trace) -> None:
    """Enroll, beat, upload, export, be denied, go silent, end; and all that follows from it."""
    assert tenant.api.call("GET", "/readyz").status == 200
    tenant.mint()
    minted = _mint_with_key(tenant)
    enrolled = tenant.exchange(minted["token"], idempotency_key=_IDEMPOTENCY_KEY, csr=_csr())
    assert enrolled.status == 201, enrolled.body
    replayed = tenant.exchange(minted["token"], idempotency_key=_IDEMPOTENCY_KEY, csr=_csr())
    assert replayed.status == 200, replayed.body
    assert tenant.exchange(minted["token"]).status == 410
    host = tenant.enroll()
    assert host.beat().status == 200
    assert host.beat().status == 429
    clock.advance(seconds=60)
    assert host.beat().status == 200
    _look_around(tenant, minted, host.agent_id)
    _upload(tenant, host, stack, trace)
    _export(tenant, trace)
    _denied_twice(tenant)
    _split_and_rotate(tenant, clock)
    clock.advance(hours=1)
    _sweep(trace)
    assert host.beat().status == 200
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").status == 200
    _cascade(tenant, minted, trace)
    many = tenant.mint(max_uses=50)
    assert tenant.exchange(many["token"]).status == 201
    _cascade(tenant, many, trace, half_closed=True)
    _publish(tenant, trace)
    _seal(tenant, stack, trace)
    _delete_parents(tenant, trace)


def _mint_with_key(tenant: Tenant) -> dict[str, Any]:
    body = {"environment": tenant.environment}
    headers = {"Idempotency-Key": _IDEMPOTENCY_KEY}
    minted = tenant.call("POST", "/agent-enrollment/tokens", body, headers=headers)
    again = tenant.call("POST", "/agent-enrollment/tokens", body, headers=headers)
    assert (minted.status, again.status) == (201, 409)
    assert isinstance(minted.body, dict)
    return minted.body


def _look_around(tenant: Tenant, minted: dict[str, Any], agent: str) -> None:
    for path in (
        "/agent-enrollment/tokens",
        "/agent-enrollment/attempts",
        f"/agent-enrollment/tokens/{minted['enrollment_token_id']}",
        "/agents",
        f"/agents/{agent}",
        "/audit-records",
        f"/audit-records?resource_type=agent&resource_id={agent}",
    ):
        assert tenant.call("GET", path).status == 200
    renamed = tenant.call("PATCH", f"/agents/{agent}", {"name": "renamed"})
    assert renamed.status == 200, renamed.body


def _upload(tenant: Tenant, host: Any, stack: dict[str, str], trace: Trace) -> None:
    from chalicelib import workers

    for content, sent in ((b"right", b"right"), (b"announced", b"otherwise")):
        announced = host.call(
            "POST",
            "/artifacts",
            {
                "kind": "state_snapshot",
                "filename": "f.bin",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "content_type": "application/octet-stream",
            },
        )
        assert announced.status == 201, announced.body
        key = announced.body["upload"]["fields"]["key"]
        boto3.client("s3").put_object(
            Bucket=stack["BucketName"],
            Key=key,
            Body=sent,
            ContentType="application/octet-stream",
            ChecksumAlgorithm="SHA256",
        )
        with trace.running("verify_upload"):
            assert workers.verify(key, None) == ("stored" if content == sent else "rejected")
        path = f"/agents/{host.agent_id}/artifacts"
        assert tenant.call("GET", f"{path}/{announced.body['artifact_id']}").status == 200
    assert host.call("GET", f"/artifacts/{announced.body['artifact_id']}").status == 200
    assert tenant.call("GET", path).status == 200


def _split_and_rotate(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    other = noticed(tenant, host, clock)
    path = f"/agents/{host.agent_id}"
    assert tenant.call("POST", f"{path}/release", {"decision": "split"}).status == 200
    headers, body = {"Idempotency-Key": _IDEMPOTENCY_KEY}, {"instance": other.instance}
    for status in (201, 200):
        assert other.call("POST", "/split", body, headers=headers).status == status
    assert host.beat().status == 200
    assert tenant.call("POST", f"{path}/runtime-key/request-rotation").status == 200
    named = {"instance": host.instance}
    assert host.call("POST", "/runtime-key/rotate", named).status == 201
    assert tenant.call("POST", f"{path}/quarantine").status == 200


def _denied_twice(tenant: Tenant) -> None:
    weak = organization_key_with(tenant, {"jobs:read"})
    for _ in range(2):  # one is recorded at once, the other by the sweep
        assert tenant.api.call("GET", "/api/v1/agents", credential=weak).status == 403


def _export(tenant: Tenant, trace: Trace) -> None:
    from chalicelib import workers
    from chalicelib.store import jobs

    sealed(tenant, 1)
    now = tenant.api.clock.now
    wanted = {"since": rfc3339(now - 3_600_000), "until": rfc3339(now)}
    for resource in ({}, {"resource_type": "agent", "resource_id": "agt_1"}):
        asked = tenant.call("POST", "/audit-records/export", {**wanted, **resource})
        job = asked.body["job"]["job_id"]
        row = jobs.find(tenant.organization, job)
        assert row is not None
        with trace.running("run_jobs"):
            workers.run_jobs([{"dynamodb": {"NewImage": row.serialize()}}], None)
        export = tenant.call("GET", f"/audit-records/exports/{job}")
        assert export.body["status"] == "done"


def _sweep(trace: Trace) -> None:
    from chalicelib import workers

    with trace.running("sweep_presence"):
        assert workers.sweep(None).offline >= 1


def _cascade(
    tenant: Tenant, minted: dict[str, Any], trace: Trace, *, half_closed: bool = False
) -> None:
    from chalicelib import workers
    from chalicelib.store import enrollment_tokens, jobs, token_counters

    path = f"/agent-enrollment/tokens/{minted['enrollment_token_id']}/revoke"
    accepted = tenant.call("POST", path, {"cascade": True})
    assert accepted.status == 202
    job = accepted.body["job"]["job_id"]
    row = jobs.find(tenant.organization, job)
    assert row is not None
    if half_closed:  # as whoever revoked leaves the counter rows when it dies
        token = enrollment_tokens.find(tenant.organization, minted["enrollment_token_id"])
        assert token is not None
        for counter in token_counters.read(tenant.organization, token):
            counter.update(actions=[type(counter).status.set(enrollment_tokens.ACTIVE)])
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}}
    # Agents that meet contention end one by one.
    contended = injected(CONFLICT, on="TransactWriteItems")
    with trace.running("run_jobs"), contended:
        workers.run_jobs([record, {"dynamodb": {"NewImage": {"pk": {"S": "junk"}}}}], None)
    assert tenant.call("GET", f"/jobs/{job}").body["status"] == "done"


def _rows(tenant: Tenant) -> list[Any]:
    from chalicelib.store.audit_records import between
    from chalicelib.store.paging import Span

    return list(
        between(
            tenant.organization,
            Span(None, 10, newest_first=False),
            since=tenant.api.clock.now - 86_400_000,
            until=tenant.api.clock.now,
        )
    )


def _publish(tenant: Tenant, trace: Trace) -> None:
    from chalicelib import workers

    rows = _rows(tenant)
    records = [
        {"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}} for row in rows[:3]
    ]
    with trace.running("publish_events"):
        published = workers.publish([*records, {"eventName": "INSERT", "dynamodb": {}}])
    assert (published.events, published.poison) == (3, 1), json.dumps(records)[:200]


def _seal(tenant: Tenant, stack: dict[str, str], trace: Trace) -> None:
    from chalicelib import sealing

    rows = _rows(tenant)
    records = [{"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}} for row in rows]
    keys = {"pk": {"S": rows[0].pk}, "sort": {"S": rows[0].sort}}
    moved = {"Keys": keys, "ApproximateCreationDateTime": tenant.api.clock.now // 1000}
    with trace.running("seal_evidence"):
        assert sealing.seal(records[:2], None).batches == 1
        sealing.seal([{"eventName": "REMOVE", "eventID": "1", "dynamodb": moved}], None)
    boto3.client("dynamodb").delete_item(  # as one leaves it who died before moving the head
        TableName=f"{stack['TablePrefix']}organizations",
        Key={"organization": {"S": tenant.organization}, "item": {"S": "seal"}},
    )
    with trace.running("seal_evidence"):
        assert sealing.seal([*records[:3], {"eventName": "INSERT"}], None).batches == 1


def _delete_parents(tenant: Tenant, trace: Trace) -> None:
    for job in deletions_of_all_kinds(tenant):
        with trace.running("run_jobs"):
            assert run(tenant, job).status == "done"


def _csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
