"""Where a request carries its credential: the Authorization header, or a session's cookie."""

from dataclasses import dataclass, field

from chalice.app import Request

COOKIE = "__Host-rollcall_session"
"""Of a session; the prefix binds it to this very host, over TLS (RFC 6265bis, section 4.1.3.2)."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """A raw credential, and whether a browser sent it by itself."""

    raw: str = field(repr=False)
    from_cookie: bool = False


def of(request: Request) -> Bearer | None:
    """The credential of a request; a header goes before a cookie.

    A header that is there and holds no credential is not made good by a cookie.
    """
    if request.headers.get("authorization") is not None:
        return in_header(request)
    raw = cookie(request, COOKIE)
    return Bearer(raw, from_cookie=True) if raw else None


def in_header(request: Request) -> Bearer | None:
    """The credential of the Authorization header (RFC 6750, section 2.1)."""
    scheme, _, credential = str(request.headers.get("authorization", "")).partition(" ")
    credential = credential.strip()
    return Bearer(credential) if scheme.lower() == "bearer" and credential else None


def cookie(request: Request, name: str) -> str | None:
    """The value of a cookie (RFC 6265, section 5.4); None where it is not there, or there twice."""
    values = [
        value.strip()
        for pair in str(request.headers.get("cookie", "")).split(";")
        for key, _, value in [pair.partition("=")]
        if key.strip() == name
    ]
    # A page of a neighbouring domain may have set a second one: neither can be believed.
    return values[0] if len(values) == 1 else None
