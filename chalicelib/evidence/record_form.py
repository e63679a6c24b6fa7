"""An audit record as it looks from outside: in the API, in an export, and as a sealed leaf."""

from typing import TYPE_CHECKING, Any

from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.merkle import leaf_hash

if TYPE_CHECKING:
    from chalicelib.evidence.publisher import Record


def record_form(record: "Record") -> dict[str, Any]:
    """A record's one form; whatever is shown of it is this, so that anyone can hash it again.

    A member that comes later may only be there where it has a value: else what was sealed before
    would not be what is shown.
    """
    actor = {"type": record.actor_type, "id": record.actor_id}
    if record.actor_credential is not None:
        actor["credential"] = record.actor_credential
    return {
        "id": record.id,
        "time": rfc3339(int(record.at)),
        "event": record.event,
        "outcome": record.outcome,
        "reason": record.reason,
        "project": record.project,
        "environment": record.environment,
        "actor": actor,
        "resource": {"type": record.resource_type, "id": record.resource_id},
        "request_id": record.request_id,
        "source_address": record.source_address,
        "detail": record.detail,
    }


def export_line(record: "Record") -> str:
    """One line of an export, without its end: the very bytes that were sealed."""
    return canonical(record_form(record)).decode("ascii")


def form_hash(form: Any) -> bytes:  # noqa: ANN401 - what an export's line says
    """The leaf of a record in its outside form."""
    return leaf_hash(canonical(form))
