"""What `seal_evidence` does: seals new audit records, and tells of those that were changed.

Nothing of ours changes or removes an audit record, and DynamoDB removes one only when its time is
over, under its own name. Whatever else the stream says of a row is tampering.
"""

from collections.abc import Iterable
from typing import Any

from chalicelib import runtime, tampering
from chalicelib.evidence.publisher import Poison
from chalicelib.flows import seal as seal_flow
from chalicelib.store import audit_records
from chalicelib.telemetry import logger
from chalicelib.workers import time_is_up


def seal(records: Iterable[dict[str, Any]], context: Any) -> seal_flow.Sealed:  # noqa: ANN401
    """Seal what was appended to the audit trail.

    Raises:
        NotSealedError: the stream must deliver the batch again.
    """
    now = runtime.current()
    waiting: list[seal_flow.Sealable] = []
    poison: list[Poison] = []
    for record in records:
        if record.get("eventName") != "INSERT":
            tampering.notice(record)
            continue
        made = _sealable(record, now.clock())
        if isinstance(made, Poison):
            poison.append(made)
        else:
            waiting.append(made)
    tools = seal_flow.SealTools(
        bucket=now.evidence_bucket,
        signer=now.signer,
        patience=now.patience,
        clock=now.clock,
        time_is_up=time_is_up(context),
        retention_days=now.settings.evidence_retention_days,
        forged=tampering.forged,
    )
    sealed = seal_flow.seal(tools, waiting)
    # Letters come last: while sealing fails, the batch comes again and again.
    for letter in poison:
        now.publisher.dead_letter(letter)
    logger.info("sealed", records=sealed.records, batches=sealed.batches, poison=len(poison))
    return sealed


def _sealable(record: dict[str, Any], now: int) -> seal_flow.Sealable | Poison:
    try:
        row = audit_records.from_stream(record["dynamodb"]["NewImage"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not block the shard
        return Poison(record, f"{type(error).__name__}: {error}")
    try:
        return seal_flow.sealable(row, now)
    except Exception as error:  # noqa: BLE001 - the same
        place = {"pk": row.pk, "sort": row.sort, "id": row.id}
        return Poison(place, f"{type(error).__name__}: {error}")
