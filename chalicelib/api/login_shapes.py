"""How a person's sessions and API tokens look. No secret and no hash of one has a place here."""

from typing import Any

from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import personal_tokens
from chalicelib.flows.my_sessions import identifier
from chalicelib.store.people import PersonItem


def _time(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else rfc3339(int(milliseconds))


def session(row: PersonItem, current: str | None) -> dict[str, Any]:
    """A session; `current` where it is the one that asks."""
    return {
        "session_id": identifier(row),
        "organization": row.organization,
        "status": row.status,
        "current": identifier(row) == current,
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "last_used_at": _time(row.last_used_at),
        "source_address": row.source_address,
        "user_agent": row.user_agent,
    }


def personal_token(row: PersonItem, now: int) -> dict[str, Any]:
    """A personal API token."""
    return {
        "personal_token_id": identifier(row),
        "organization": row.organization,
        "name": row.name,
        "scopes": row.scopes or [],
        "status": personal_tokens.status_of(row, now),
        "created_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "last_used_at": _time(row.last_used_at),
    }
