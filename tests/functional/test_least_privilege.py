"""Each function's policy allows what its code uses, and nothing that its code never uses."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.iam_trace import Trace, TracedRuntime, grants_of, traced
from tests.functional.laws.faults import CONFLICT, injected

# What Lambda and S3 do in a function's name, and not its code.
_BY_THE_SERVICE = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
_ON_FAILURE = ("verify_upload", "sqs:SendMessage")
_BY_THE_PRESIGNED = {"s3:PutObject", "s3:GetObject"}
_IDEMPOTENCY_KEY = "k" * 43


@pytest.fixture
def trace(stack: dict[str, str], clock: FrozenClock) -> Iterator[Trace]:
    assert stack
    from chalicelib import runtime

    watched = TracedRuntime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5)
    with traced(watched) as trace:
        runtime.use(watched)
        yield trace
        runtime.use(None)


def test_policies_allow_what_the_code_uses_and_no_more(
    stack: dict[str, str], clock: FrozenClock, trace: Trace
) -> None:
    with Api(clock) as api:
        before = api.new_tenant()
        trace.uses.clear()  # Making the tenant is the deployer's, not a function's.
        _whole_story(before, stack, clock, trace)
    missing, unused = [], []
    for function, uses in trace.uses.items():
        grants = grants_of(function, stack, "functional")
        missing += [
            (function, use) for use in uses if not any(grant.covers(use) for grant in grants)
        ]
        unused += [
            (function, grant)
            for grant in grants
            if grant.action not in _BY_THE_SERVICE
            and (function, grant.action) != _ON_FAILURE
            and not (function == "api_handler" and grant.action in _BY_THE_PRESIGNED)
            and not any(grant.covers(use) for use in uses)
        ]
    assert sorted(trace.uses) == sorted(
        ["api_handler", "publish_events", "run_jobs", "sweep_presence", "verify_upload"]
    )
    assert missing == []
    assert unused == []


def _whole_story(tenant: Tenant, stack: dict[str, str], clock: FrozenClock, trace: Trace) -> None:
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
    clock.advance(hours=1)
    _sweep(trace)
    assert host.beat().status == 200
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").status == 200
    _cascade(tenant, minted, trace)
    many = tenant.mint(max_uses=50)
    assert tenant.exchange(many["token"]).status == 201
    _cascade(tenant, many, trace, half_closed=True)
    _publish(tenant, trace)


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


def _publish(tenant: Tenant, trace: Trace) -> None:
    from chalicelib import workers
    from chalicelib.store.audit_records import between
    from chalicelib.store.paging import Span

    rows = list(
        between(
            tenant.organization,
            Span(None, 10, newest_first=False),
            since=tenant.api.clock.now - 86_400_000,
            until=tenant.api.clock.now,
        )
    )
    records = [
        {"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}} for row in rows[:3]
    ]
    with trace.running("publish_events"):
        published = workers.publish([*records, {"eventName": "INSERT", "dynamodb": {}}])
    assert (published.events, published.poison) == (3, 1), json.dumps(records)[:200]


def _csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host-1")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
