"""Refuses what another site's page makes a browser send with the session's cookie.

Fetch Metadata (W3C, Sec-Fetch-Site) and the Origin header (RFC 6454) are set by the browser and
cannot be set by a page. A client that sends neither is not a browser.
"""

import urllib.parse

from chalice.app import Request

from chalicelib import runtime
from chalicelib.api.requests import public_url
from chalicelib.errors import Forbidden

_SAFE = {"GET", "HEAD", "OPTIONS"}
_OWN_SITE = {"same-origin", "none"}
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def check(request: Request) -> None:
    """Let a write pass that comes from our own origin, or from no browser.

    Raises:
        Forbidden: another site sends it.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if (site is not None and site not in _OWN_SITE) or (
        origin is not None and origin != own_origin(request)
    ):
        raise Forbidden("Another site's page sent this request.", code="cross_site_request")


def own_origin(request: Request) -> str:
    """Scheme, host and port of the API as browsers name it: in lower case, no default port."""
    url = urllib.parse.urlsplit(public_url(request, runtime.current().settings.public_url))
    place = url.netloc.lower().removesuffix(_DEFAULT_PORTS.get(url.scheme, ":"))
    return f"{url.scheme}://{place}"
