"""Where a request carries its credential: the Authorization header, or a session's cookie."""

from collections.abc import Callable
from dataclasses import dataclass, field

from chalice.app import Request

from chalicelib.api.callers import rejected
from chalicelib.api.requests import headers

COOKIE = "__Host-rollcall_session"
"""Of a session; the prefix binds it to this very host, over TLS (RFC 6265bis, section 4.1.3.2)."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A raw credential, and whether a browser sent it by itself."""

    raw: str = field(repr=False)
    from_cookie: bool = False


def of(request: Request) -> Bearer | None:
    """The credential of a request, or None; a header goes before a cookie.

    A header that is there and holds no credential is not made good by a cookie.

    Raises:
        Unauthenticated: there is an Authorization header, and no credential can be read in it.
    """
    in_one = in_header(request)
    if in_one is not None:
        return in_one
    raw = cookie(request, COOKIE)
    return Bearer(raw, from_cookie=True) if raw else None


def in_header(request: Request) -> Bearer | None:
    """The credential of the Authorization header (RFC 6750, section 2.1), or None without one.

    Raises:
        Unauthenticated: the header is there twice, or holds no credential; in words, and without
            a part of it.
    """
    values = set(headers(request, "authorization"))
    if not values:
        return None
    if len(values) > 1:
        # API Gateway passes both on, and each reader takes another one for the credential.
        raise rejected("credential_ambiguous")
    scheme, blank, credential = values.pop().strip(" \t").partition(" ")
    credential = credential.strip(" \t")
    if scheme.lower() != "bearer" or not credential:
        raise rejected("credential_missing", _no_bearer(scheme, blank))
    if "," in credential and credential.lower().partition(",")[2].strip().startswith("bearer "):
        # A proxy on the way made one header of two (RFC 9110, section 5.3).
        raise rejected("credential_ambiguous")
    return Bearer(checked(credential))


def _no_bearer(scheme: str, blank: str) -> str:
    lower = scheme.lower()
    if not scheme:
        return "The Authorization header is empty. Write Bearer, a blank and the credential."
    if lower == "bearer":
        return "The Authorization header has nothing after Bearer: the credential is missing."
    if lower.startswith("bearer"):
        return "In the Authorization header one blank, and nothing else, must follow Bearer."
    if not blank:
        return "The Authorization header has no scheme. Write Bearer and a blank before the rest."
    return "The Authorization header has another scheme than Bearer."


def checked(credential: str) -> str:
    """A credential without the marks of a paste that went wrong.

    Raises:
        Unauthenticated: it has one; in words, and without a part of it.
    """
    flaw = next((say for say, there in _FLAWS if there(credential)), None)
    if flaw is not None:
        raise rejected("credential_invalid", f"The credential {flaw}.")
    return credential


_QUOTES = {'"', "'", "`"}
_NO_ASCII = (
    "has characters that no credential has, such as a no-break blank, an invisible character or a"
    " curled quotation mark: copy it once more, as plain text"
)
_FLAWS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("begins or ends with a line break: leave it out", lambda raw: raw.strip("\r\n") != raw),
    (_NO_ASCII, lambda raw: not (raw.isascii() and raw.isprintable())),
    ("stands behind Bearer written twice", lambda raw: raw.lower().startswith("bearer ")),
    ("stands in quotation marks: leave them out", lambda raw: raw[:1] in _QUOTES),
    ("is still a placeholder: put the real one there", lambda raw: raw[:1] in {"<", "{", "$", "["}),
    ("has a blank in it or around it: leave it out", lambda raw: " " in raw),
    ("is percent-encoded: write it as it was given to you", lambda raw: "%" in raw),
)


def cookie(request: Request, name: str) -> str | None:
    """The value of a cookie (RFC 6265, section 5.4); None where it is not there, or there twice."""
    values = [
        value.strip()
        for line in headers(request, "cookie")
        for pair in line.split(";")
        for key, _, value in [pair.partition("=")]
        if key.strip() == name
    ]
    # A page of a neighbouring domain may have set a second one: neither can be believed.
    return values[0] if len(values) == 1 else None
