"""Cursors of paged lists: signed, and bound to organization, list and query."""

import base64
import binascii
import hashlib

import msgspec

from chalicelib.credentials.signing import Keyring, UnknownKeyIdError
from chalicelib.errors import Malformed

_SALT = "rollcall.cursor.v1"
_PARTS = 3


def encode(
    keyring: Keyring, organization: str, listing: str, query: dict[str, str], position: list[str]
) -> str:
    """A cursor for the rows after a position of this very query of a list."""
    payload = base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")
    key_id = keyring.current_id()
    value = _bound(organization, listing, query, payload)
    return f"{key_id}.{payload}.{keyring.sign(_SALT, value, key_id)}"


def decode(
    keyring: Keyring, organization: str, listing: str, query: dict[str, str], parts: int
) -> list[str] | None:
    """The position of the query's `cursor`, or None where the list begins.

    Raises:
        Malformed: it was not handed out for this organization, this list and this query.
    """
    cursor = query.get("cursor")
    if cursor is None:
        return None
    fields = cursor.split(".")
    try:
        if len(fields) != _PARTS or not cursor.isascii():
            raise _invalid()
        key_id, payload, signature = fields
        value = _bound(organization, listing, query, payload)
        if not keyring.verify(_SALT, value, signature, key_id):
            raise _invalid()
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        position = msgspec.json.decode(raw, type=list[str])
    except (UnknownKeyIdError, binascii.Error, msgspec.DecodeError) as error:
        raise _invalid() from error
    if len(position) != parts:
        raise _invalid()
    return position


def _bound(organization: str, listing: str, query: dict[str, str], payload: str) -> str:
    filters = sorted((name, value) for name, value in query.items() if name != "cursor")
    digest = hashlib.sha256(msgspec.json.encode(filters)).hexdigest()
    return f"{organization}.{listing}.{digest}.{payload}"


def _invalid() -> Malformed:
    return Malformed(
        "The cursor does not belong to this list.",
        code="cursor_invalid",
        extra={"errors": [{"path": "cursor", "message": "take it from the answer before"}]},
    )
