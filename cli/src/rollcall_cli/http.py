"""HTTP to the control plane and to the object store; the only module that knows httpx."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from rollcall_client.proxies import Routed, UnusableProxyError

from rollcall_cli import __version__
from rollcall_cli.answers import (
    Answer,
    NoAnswerError,
    measure_skew,
    parse_retry_after,
    read_answer,
)
from rollcall_cli.clock import Clock
from rollcall_cli.exits import usage
from rollcall_cli.secret import Secret
from rollcall_cli.tls_errors import certificate_reason
from rollcall_cli.urls import check_download_url

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 35.0  # API Gateway gives up after 29
LARGEST_ANSWER: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One request to the control plane, below its base URL."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Connection:
    """A keep-alive connection to one control plane. TLS is always verified.

    Args:
        base_url: checked already.
        credential: sent with every call to it, and nowhere else.
        clock: for deadlines.
        transport: what a test puts in the network's place.
    """

    def __init__(
        self,
        base_url: str,
        credential: Secret | None,
        *,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._credential = credential
        self._clock = clock
        self._http = httpx.Client(
            transport=transport or _routed(base_url),
            # A credential follows no redirect: it goes to the URL that the operator wrote.
            follow_redirects=False,
            # What the environment says is read in ``_routed``.
            trust_env=False,
            headers={
                "User-Agent": f"rollcall-cli/{__version__}",
                "Accept": "application/json",
                # A compressed answer could unpack to far more than the bound on its size.
                "Accept-Encoding": "identity",
            },
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call, seconds: float = ANSWER_SECONDS) -> Answer:
        """Send a request to the control plane and read its answer.

        Raises:
            NoAnswerError: none came.
        """
        headers = dict(call.headers)
        if self._credential is not None:
            headers["Authorization"] = f"Bearer {self._credential.reveal()}"
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body).encode()
        seconds = min(seconds, ANSWER_SECONDS)
        began = self._clock.now()
        with _naming_errors():
            request = self._http.build_request(
                call.method,
                self.base_url + call.path,
                params=dict(call.query) or None,
                headers=headers,
                content=content,
                timeout=httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS)),
            )
            response = self._http.send(request, stream=True)
            try:
                body = self._read(response, self._clock.monotonic() + seconds)
            finally:
                response.close()
        ended = self._clock.now()
        retry_after = parse_retry_after(response.headers.get("Retry-After"), ended)
        skew = measure_skew(response.headers.get("Date"), began, ended)
        content_type = response.headers.get("Content-Type", "")
        return read_answer(response.status_code, content_type, body, retry_after, skew)

    def download(self, url: str) -> Iterator[bytes]:
        """Fetch a presigned address, block by block. The credential is not part of this.

        Raises:
            NoAnswerError: it broke off, or the store refused.
        """
        check_download_url(url)
        with (
            _naming_errors(),
            self._http.stream("GET", url, timeout=httpx.Timeout(60, connect=10)) as response,
        ):
            if not response.is_success:
                raise NoAnswerError(f"the object store answered {response.status_code}")
            yield from response.iter_raw()

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Read a body that stays within its bounds of size and time."""
        content = bytearray()
        for block in response.iter_raw():
            content += block
            if len(content) > LARGEST_ANSWER:
                raise NoAnswerError("the answer was larger than any answer of a control plane")
            if self._clock.monotonic() > deadline:
                raise NoAnswerError("the answer did not end in time")
        return bytes(content)


def _routed(base_url: str) -> Routed:
    """Return the transport that goes through the proxies of the environment.

    Raises:
        CliError: the proxy that applies to the control plane, or a CA file, cannot be used.
    """
    try:
        tls = httpx.create_ssl_context()
    except OSError as error:
        why = "no PEM certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise usage(
            f"The CAs that are believed cannot be read ({why}). Next: check SSL_CERT_FILE."
        ) from error
    try:
        return Routed(base_url, lambda proxy: httpx.HTTPTransport(verify=tls, proxy=proxy))
    except UnusableProxyError as error:
        line = error.line
    # Not from within: a traceback would show the error before it, and that one the proxy's URL.
    raise usage(line)


@contextmanager
def _naming_errors() -> Iterator[None]:
    """Turn whatever httpx raises into the absence of an answer."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, UnicodeError) as error:
        certificate = certificate_reason(error)
        lasts = certificate is not None
        raise NoAnswerError(certificate or _reason(error), sent=False, lasts=lasts) from error
    except httpx.HTTPError as error:
        raise NoAnswerError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Name a network error without quoting it: its text may hold the URL or a header."""
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection (name, network, or TLS)"),
        (httpx.ReadTimeout, "no answer in time"),
        (httpx.WriteTimeout, "the request could not be sent in time"),
        (httpx.ProxyError, "the proxy refused"),
        (httpx.LocalProtocolError, "the request could not be built"),
        (httpx.NetworkError, "the connection broke"),
        (httpx.RemoteProtocolError, "the connection closed before the answer was complete"),
    )
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    return f"the request failed ({type(error).__name__})"
