"""What is done when evidence was touched: a metric, a line in the log, a letter, and a record."""

from typing import Any

from chalicelib import runtime, telemetry
from chalicelib.errors import Unavailable
from chalicelib.evidence.publisher import Poison
from chalicelib.flows import tampering as tampering_flow
from chalicelib.telemetry import logger

_METRIC = "EvidenceTampered"
# In a function's event; the Streams API writes the same members with capitals.
_EXPIRY = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


def notice(record: dict[str, Any]) -> None:
    """Tell of a changed or removed row, unless its time was over.

    Raises:
        Unavailable: the record could not be written; the stream must deliver the batch again.
    """
    if record.get("eventName") == "REMOVE" and record.get("userIdentity") == _EXPIRY:
        return
    now = runtime.current()
    _count()
    logger.error(
        "evidence tampered", change=record.get("eventName"), event_id=record.get("eventID")
    )
    try:
        new = tampering_flow.record_row(record)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - no tenant can be told, but people must be
        now.publisher.dead_letter(Poison(record, f"evidence tampered: {error}"))
        return
    if new:
        now.publisher.dead_letter(Poison(record, "evidence tampered"))


def forged(organization: str, number: int) -> None:
    """Tell of a batch that the signing key did not sign, or a head that names another one.

    Raises:
        Unavailable: the record could not be written.
    """
    now = runtime.current()
    _count()
    logger.error("evidence tampered", change="forged", organization=organization, batch=number)
    if tampering_flow.record_batch(organization, number, now.clock()):
        place = {"organization": organization, "batch": number}
        now.publisher.dead_letter(Poison(place, "evidence tampered"))


def _count() -> None:
    # The alarm matches these dimensions and no others: what the change was stands in the log.
    telemetry.count(_METRIC, stage=runtime.current().settings.stage)
