"""Enrollment tokens, the receipts of their uses, and the claims of repeated mints.

`token_counters` has the rows that count the uses.
"""

import datetime
from collections.abc import Iterator
from typing import Any

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
)
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from chalicelib.store.connection import guarded
from chalicelib.store.paging import SHARDS, Span, merged, shard_key, shard_of
from chalicelib.store.table import Key, StageTable, Table
from chalicelib.store.transaction import Transaction

ACTIVE = "active"
REVOKED = "revoked"
KEPT_AFTER_EXPIRY = datetime.timedelta(days=30)
"""How long 410 can still be told from 401."""


class TokensByEnvironment(GlobalSecondaryIndex["EnrollmentTokenItem"]):
    """Lists an environment's tokens by age."""

    class Meta:
        index_name = "by_environment"
        projection = AllProjection()

    environment_shard = UnicodeAttribute(hash_key=True)
    created = UnicodeAttribute(range_key=True)


class EnrollmentTokenItem(Table):
    """A row of `agent_enrollment_tokens`: a token, a counter of uses, a receipt, a mint's claim.

    Refused attempts (`store/attempts.py`) and receipts of splits (`store/splits.py`) stand here,
    too. Each has a partition of its own, so that nothing grows under one key. Where a token
    has counter rows (`counters` says how many), its own `uses` is theirs summed up when it was
    read. `splits` counts the agents that came of its agents without a use.
    """

    class Meta:
        table_name = StageTable("agent_enrollment_tokens")

    pk = UnicodeAttribute(hash_key=True)
    by_environment = TokensByEnvironment()
    environment_shard = UnicodeAttribute(null=True)
    created = UnicodeAttribute(null=True)
    token = UnicodeAttribute()
    status = UnicodeAttribute(null=True)
    digest = BinaryAttribute(null=True, legacy_encoding=False)
    project = UnicodeAttribute(null=True)
    environment = UnicodeAttribute(null=True)
    uses = NumberAttribute(null=True)
    max_uses = NumberAttribute(null=True)
    counters = NumberAttribute(null=True)
    counter = NumberAttribute(null=True)
    splits = NumberAttribute(null=True)
    created_at = NumberAttribute()
    expires_at = NumberAttribute(null=True)
    hostname = UnicodeAttribute(null=True)
    source_cidrs: JSONAttribute = JSONAttribute(null=True)
    labels: JSONAttribute = JSONAttribute(null=True)
    note = UnicodeAttribute(null=True)
    replace_machine = BooleanAttribute(null=True)
    replace_offline = NumberAttribute(null=True)
    created_by = UnicodeAttribute(null=True)
    agent = UnicodeAttribute(null=True)
    key_digest = BinaryAttribute(null=True, legacy_encoding=False)
    shown_key = BinaryAttribute(null=True, legacy_encoding=False)
    reason = UnicodeAttribute(null=True)
    request_id = UnicodeAttribute(null=True)
    source_address = UnicodeAttribute(null=True)
    claimed: JSONAttribute = JSONAttribute(null=True)
    refused = NumberAttribute(null=True)
    deleted_at = NumberAttribute(null=True)
    ttl = TTLAttribute()


def token_row(organization: str, token: str) -> Key:
    """Where a token lives."""
    return EnrollmentTokenItem, f"{organization}#{token}", None


def receipt_row(organization: str, token: str, idempotency_digest: bytes) -> Key:
    """Where the receipt of a use lives; the idempotency key is a secret, so only its hash."""
    return EnrollmentTokenItem, f"{organization}#{token}#{idempotency_digest.hex()}", None


def find(organization: str, token: str) -> EnrollmentTokenItem | None:
    """A token, as it is now; without the uses that its counter rows count."""
    return EnrollmentTokenItem.read(f"{organization}#{token}")


def find_receipt(receipt: EnrollmentTokenItem) -> EnrollmentTokenItem | None:
    """A receipt that was seen before, as it is now."""
    return EnrollmentTokenItem.read(receipt.pk)


def expiry(milliseconds: int) -> datetime.datetime:
    """When DynamoDB may remove what ended at a time."""
    ended = datetime.datetime.fromtimestamp(milliseconds // 1000, tz=datetime.UTC)
    return ended + KEPT_AFTER_EXPIRY


def mint(
    transaction: Transaction,
    organization: str,
    token: str,
    *,
    environment: str,
    created_at: int,
    expires_at: int,
    **attributes: Any,  # noqa: ANN401 - the model's own attributes
) -> EnrollmentTokenItem:
    """Add the creation of a token (part `token`)."""
    row = EnrollmentTokenItem(
        f"{organization}#{token}",
        token=token,
        status=ACTIVE,
        # Left out, not 0, where counter rows count: whoever forgets them is refused.
        uses=None if attributes.get("counters") else 0,
        environment=environment,
        environment_shard=shard_key(organization, environment, shard=shard_of(token)),
        created=f"{created_at:015d}#{token}",
        created_at=created_at,
        expires_at=expires_at,
        ttl=expiry(expires_at),
        **attributes,
    )
    transaction.put("token", row, EnrollmentTokenItem.pk.does_not_exist())
    return row


def claim_mint(
    transaction: Transaction,
    organization: str,
    idempotency_digest: bytes,
    *,
    token: str,
    created_at: int,
    expires_at: int,
) -> None:
    """Add the claim that makes a repeated mint visible (part `claim`)."""
    row = EnrollmentTokenItem(
        f"{organization}#mint#{idempotency_digest.hex()}",
        token=token,
        created_at=created_at,
        ttl=expiry(expires_at),
    )
    transaction.put("claim", row, EnrollmentTokenItem.pk.does_not_exist())


def put_receipt(
    transaction: Transaction,
    organization: str,
    token: EnrollmentTokenItem,
    idempotency_digest: bytes,
    *,
    counter: EnrollmentTokenItem,
    agent: str,
    key_digest: bytes,
    now: int,
) -> None:
    """Add the receipt by which a lost answer can be asked for again (part `receipt`).

    It names the row that counted the use, whose status a replay is conditional on.
    """
    _, pk, _ = receipt_row(organization, token.token, idempotency_digest)
    row = EnrollmentTokenItem(
        pk,
        token=token.token,
        counter=counter.counter,
        agent=agent,
        key_digest=key_digest,
        created_at=now,
        ttl=expiry(int(token.expires_at)),
    )
    transaction.put("receipt", row, EnrollmentTokenItem.pk.does_not_exist())


def renew_receipt(
    transaction: Transaction, receipt: EnrollmentTokenItem, *, key_digest: bytes
) -> None:
    """Add the receipt's change to a fresh runtime key (part `receipt`)."""
    item = EnrollmentTokenItem
    transaction.update(
        "receipt",
        item(receipt.pk),
        [item.key_digest.set(key_digest)],
        item.key_digest == receipt.key_digest,
    )


def revoke(transaction: Transaction, organization: str, token: str) -> None:
    """Add the token's end (part `token`); refused where it is unknown or revoked already."""
    item = EnrollmentTokenItem
    transaction.update(
        "token",
        item(f"{organization}#{token}"),
        [item.status.set(REVOKED)],
        item.pk.exists() & (item.status != REVOKED),
    )


def forget(transaction: Transaction, organization: str, token: str, *, now: int) -> None:
    """Add that a revoked token leaves the lists (part: its identifier)."""
    item = EnrollmentTokenItem
    transaction.update(
        token,
        item(f"{organization}#{token}"),
        [item.deleted_at.set(now), item.environment_shard.remove(), item.created.remove()],
        item.status == REVOKED,
    )


def count_in(organization: str, environment: str) -> int:
    """How many tokens an environment has, as far as the index knows."""
    with guarded():
        return sum(
            EnrollmentTokenItem.by_environment.count(shard_key(organization, environment, shard=n))
            for n in range(SHARDS)
        )


def listed(organization: str, environment: str, span: Span) -> Iterator[EnrollmentTokenItem]:
    """An environment's tokens in order of creation."""
    shards = [shard_key(organization, environment, shard=shard) for shard in range(SHARDS)]
    return merged(EnrollmentTokenItem.by_environment, shards, EnrollmentTokenItem.created, span)
