"""Reading a request: body, query, headers; whatever is wrong with them is a clear 4xx."""

import binascii
import json
import re
from typing import Any, TypeVar

import msgspec
from chalice.app import Request

from chalicelib import fields
from chalicelib.errors import Malformed, TooLarge, UnsupportedType

LARGEST_BODY = 64 * 1024
DEEPEST_BODY = 100
"""Far below where a parser gives up, which depends on the interpreter and on who calls it."""
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_LOST = "\ufffd".encode()
_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{22,128}")
# msgspec names a bad member as "… - at `$.labels`", a bad key as "… - at `key` in `$.labels`".
_AT = re.compile(r"^(?P<message>.*?)(?: - at `(?:key` in `)?(?P<path>[^`]*)`)?$", re.DOTALL)
_LONGEST_MESSAGE = 300
# Parameters become parts of DynamoDB keys (2,048 bytes, two of them in one): what is longer would
# be refused there, and look like our fault.
_LONGEST_PARAMETER = 768
Body = TypeVar("Body")


def body(request: Request, kind: type[Body], *, optional: bool = False) -> Body:
    """The body as a checked structure.

    Args:
        request: the request.
        kind: the msgspec structure that the body must be.
        optional: an absent body stands for one without members.

    Raises:
        UnsupportedType: it is not said to be JSON.
        TooLarge: over `LARGEST_BODY` bytes.
        Malformed: absent, broken, nested too deeply, or of another shape; or members or
            parameters that are not read: `?cascade=true` instead of a body must not pass for a
            plain revoke.
    """
    query(request)
    raw = _raw(request)
    if not raw:
        if optional:
            return msgspec.convert({}, kind)
        raise Malformed("A JSON body is needed.", code="body_missing")
    content_type = header(request, "content-type")
    if (
        content_type is not None
        and content_type.partition(";")[0].strip().lower() != "application/json"
    ):
        raise UnsupportedType("Send the body as application/json.")
    if len(raw) > LARGEST_BODY:
        raise TooLarge(f"The body is over {LARGEST_BODY} bytes.")
    return _read(raw, kind)


def _read(raw: bytes, kind: type[Body]) -> Body:
    if _LOST in raw:
        # API Gateway puts it where a byte was no UTF-8, before we see the body. A caller who means
        # the sign itself can write it as an escape, which API Gateway never does.
        raise _no_json("The body is not valid UTF-8.")
    try:
        read: Body = msgspec.json.decode(raw, type=kind, dec_hook=fields.read_field)
        if _is_too_deep(raw):
            raise _no_json(f"The body is nested more than {DEEPEST_BODY} levels deep.")
        json.loads(raw, object_pairs_hook=_without_repetitions)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _no_json("The body is not valid JSON.") from error
    return fields.plain(read)  # type: ignore[no-any-return]


def _no_json(detail: str) -> Malformed:
    return Malformed(detail, code="json_invalid")


def _is_too_deep(raw: bytes) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST_BODY:
        return False
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(raw):
        if found[0] in b"[{":
            depth += 1
        elif found[0] in b"]}":
            depth -= 1
        if depth > DEEPEST_BODY:
            return True
    return False


def _without_repetitions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # msgspec takes the last one without a word; what we do must not depend on the reader.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _no_json("A member is given more than once.")
    return members


def _raw(request: Request) -> bytes:
    try:
        raw = request.raw_body
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise _no_json("The body cannot be decoded.") from error
    return raw if isinstance(raw, bytes) else str(raw).encode()


def _invalid(message: str, kind: type) -> Malformed:
    # Only a bad request waits for the words.
    from chalicelib.api.wording import in_words  # noqa: PLC0415

    match = _AT.match(message)
    text, path = (match["message"], match["path"]) if match else (message, None)
    place = (path or "$").removeprefix("$").lstrip(".")
    return Malformed(
        "The request is not valid.",
        # An unknown member's name is the caller's, and may be as long as the body.
        extra={
            "errors": [{"path": place, "message": in_words(text, kind, place)[:_LONGEST_MESSAGE]}]
        },
    )


def headers(request: Request, name: str) -> list[str]:
    """All values of a header, by its lower-case name, in order; empty where it is not there.

    API Gateway gives every one in `multiValueHeaders`, and the last one alone in `headers`.
    """
    event = request.to_original_event()
    sent: dict[str, list[str]] = event.get("multiValueHeaders") or {}
    values = [one for key, each in sent.items() if key.lower() == name for one in each]
    if values:
        return values
    alone = request.headers.get(name)
    return [] if alone is None else [str(alone)]


def header(request: Request, name: str) -> str | None:
    """The one value of a header, by its lower-case name; None where it is not there.

    Raises:
        Malformed: it is there more than once with different values: which of them counts must not
            depend on who reads it.
    """
    values = headers(request, name)
    if len(set(values)) > 1:
        raise Malformed(
            f"The header {name.title()} is given more than once, with different values.",
            code="header_repeated",
        )
    return values[0] if values else None


def query(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, each at most once, and none that nobody reads.

    Raises:
        Malformed: an unknown or repeated parameter, or one with control characters.
    """
    given: dict[str, str] = {}
    for name, values in (
        request.to_original_event()["multiValueQueryStringParameters"] or {}
    ).items():
        if name not in known:
            raise bad_parameter(name[:64], "unknown parameter")
        if len(values) != 1:
            raise bad_parameter(name, "given more than once")
        if not values[0].isprintable() or len(values[0].encode()) > _LONGEST_PARAMETER:
            raise bad_parameter(name, "too long, or not printable")
        given[name] = values[0]
    return given


def whole_number(given: dict[str, str], name: str, *, default: int, least: int, most: int) -> int:
    """A parameter that is a whole number within bounds.

    Raises:
        Malformed: it is not.
    """
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and least <= int(text) <= most):  # noqa: PLR2004
        raise bad_parameter(name, f"a whole number from {least} to {most}")
    return int(text)


def one_of(given: dict[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    """A parameter that is one of some words, or None.

    Raises:
        Malformed: it is another word.
    """
    text = given.get(name)
    if text is not None and text not in allowed:
        raise bad_parameter(name, "one of " + ", ".join(allowed))
    return text


def bad_parameter(name: str, message: str) -> Malformed:
    """The error for a parameter of the wrong form."""
    printable = name if name.isprintable() else "?"
    return Malformed(
        "A query parameter is not valid.",
        code="query_invalid",
        extra={"errors": [{"path": printable, "message": message}]},
    )


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header, a secret of at least 128 random bits, or None.

    Raises:
        Malformed: it is not 22 to 128 characters of base64url, or there are several.
    """
    key = header(request, "idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Malformed(
            "Idempotency-Key must be of 22 to 128 letters a to z, A to Z, digits, underscores and"
            " hyphens.",
            code="idempotency_key_invalid",
        )
    return key


def public_url(request: Request, configured: str | None) -> str:
    """The base URL that agents call: the setting, else domain name and stage of the context.

    Never the Host header, which is the caller's to choose.
    """
    if configured:
        return configured.rstrip("/")
    context = request.context
    path = str(request.to_original_event().get("path") or "")
    base = str(context.get("path") or "").removesuffix(path)
    return f"https://{context.get('domainName', 'localhost')}{base}".rstrip("/")
