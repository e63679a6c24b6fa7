"""Sealed batches of a tenant, put where the sealer puts them."""

import boto3

from chalicelib import ids, runtime
from chalicelib.evidence import sealed_batch
from chalicelib.evidence.sealed_batch import Leaf
from chalicelib.store import seals
from chalicelib.store.evidence_bucket import batch_key
from tests.functional.api import Tenant

HOUR_MS = 3_600_000


def sealed(tenant: Tenant, count: int) -> None:
    """Batches of one record each, an hour apart, the last one a moment ago."""
    now = tenant.api.clock.now
    s3, bucket = boto3.client("s3"), runtime.current().settings.evidence_bucket
    head = None
    for number in range(1, count + 1):
        at = now - (count - number) * HOUR_MS - 1
        leaves = [Leaf(ids.new("aud"), at, "ab" * 32)]
        header = sealed_batch.header_of(
            tenant.organization, number, bytes(32), leaves, sealed_at=at, retained_ms=10**10
        )
        body = sealed_batch.written(sealed_batch.signed(header, leaves, b"signature"))
        s3.put_object(Bucket=bucket, Key=batch_key(tenant.organization, number), Body=body)
        after = seals.Head(number, header.digest(), b"")
        assert seals.advance(tenant.organization, head, after, now)
        head = after
