"""The receipts of splits: which agent a copy became, for whoever asks again.

They stand among the receipts of exchanges, at a place that follows from the agent and the copy: of
requests at once only one can take it.
"""

import datetime

from chalicelib.store.enrollment_tokens import ACTIVE, EnrollmentTokenItem
from chalicelib.store.table import Key
from chalicelib.store.transaction import Transaction

_KEPT = datetime.timedelta(days=3650)
"""Longer than any copy goes on asking: without it, it would get a second identity."""


def receipt_row(organization: str, agent: str, split: bytes) -> Key:
    """Where the receipt of a copy lives."""
    return EnrollmentTokenItem, f"{organization}#{agent}#split#{split.hex()}", None


def put_receipt(
    transaction: Transaction,
    organization: str,
    former: str,
    split: bytes,
    *,
    idempotency_digest: bytes,
    token: str,
    shown_key: bytes,
    agent: str,
    key_digest: bytes,
    now: int,
) -> None:
    """Add the receipt (part `receipt`) of the agent that a copy of a former one became.

    Whoever asks again shows the same key (`shown_key` is its hash), whatever became of the former.
    """
    _, pk, _ = receipt_row(organization, former, split)
    made = datetime.datetime.fromtimestamp(now // 1000, tz=datetime.UTC)
    row = EnrollmentTokenItem(
        pk,
        token=token,
        digest=idempotency_digest,
        shown_key=shown_key,
        agent=agent,
        key_digest=key_digest,
        created_at=now,
        ttl=made + _KEPT,
    )
    transaction.put("receipt", row, EnrollmentTokenItem.pk.does_not_exist())


def count(transaction: Transaction, organization: str, token: str) -> None:
    """Add that a token has another agent, without a use (part `token`); never of a revoked one.

    A cascade ends as many agents as uses and splits are counted.
    """
    item = EnrollmentTokenItem
    transaction.update(
        "token", item(f"{organization}#{token}"), [item.splits.add(1)], item.status == ACTIVE
    )
