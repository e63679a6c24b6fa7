"""HTTP to the control plane and to the object store; the only module that knows httpx."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

from rollcall_client.lean import httpx

from rollcall_agent import __version__
from rollcall_agent.answers import Answer, NoAnswerError, read_answer
from rollcall_agent.backoff import parse_retry_after
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.file_form import FileForm
from rollcall_agent.proxies import routed
from rollcall_agent.secret import Secret
from rollcall_agent.urls import refuse_plain_http

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 35.0  # API Gateway gives up after 29
UPLOAD_SECONDS: Final = 60.0  # for one block of a file, not for the file
LARGEST_ANSWER: Final = 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One request to the control plane, below its base URL."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    bearer: Secret | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = ANSWER_SECONDS


def public_context() -> ssl.SSLContext:
    """Return a context that believes the public CAs, or those that SSL_CERT_FILE names."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        is_no_pem = isinstance(error, ssl.SSLError)
        why = "no PEM certificates" if is_no_pem else error.strerror
        raise AgentError(
            f"The CAs that the agent believes cannot be read ({why}). Next: check SSL_CERT_FILE.",
            ExitCode.USAGE if is_no_pem else ExitCode.UNREADY,
        ) from error


class Caller(Protocol):
    """Whatever can put a call to the control plane."""

    def call(self, call: Call) -> Answer:
        """Send a request and wait for its answer; raise NoAnswerError where none came."""


def agent_path(agent_id: str, *rest: str) -> str:
    """Return the path of an agent's route."""
    return "/".join(["/api/v1/agents", *(quote(part, safe="") for part in (agent_id, *rest))])


class ControlPlane:
    """A keep-alive connection to one control plane. TLS is always verified."""

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        allow_http: bool = False,
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._clock = clock
        self._allow_http = allow_http
        self._transport = transport
        # A stand-in for the network needs no CAs, and need not wait for them to be read.
        self._tls = tls if tls or transport else public_context()
        self._http = self._new_client()

    def _new_client(self) -> httpx.Client:
        return httpx.Client(
            transport=self._transport or routed(self._base_url, self._tls),
            # A secret follows no redirect: it goes to the URL that the operator wrote.
            follow_redirects=False,
            # What the environment says is read here and in ``proxies``.
            trust_env=False,
            headers={
                "User-Agent": f"rollcall-agent/{__version__}",
                "Accept": "application/json",
                # A compressed answer could unpack to far more than the bound on its size.
                "Accept-Encoding": "identity",
            },
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def renew(self) -> None:
        """Begin anew, where somebody stopped waiting for a request that still goes on.

        Such a request holds its connection for as long as the other side drips: some of them
        would hold all that there may be, and every later request would wait for one.
        """
        former, self._http = self._http, self._new_client()
        former.close()

    def call(self, call: Call) -> Answer:
        """Send a request to the control plane and read its answer."""
        headers = dict(call.headers)
        if call.bearer is not None:
            headers["Authorization"] = f"Bearer {call.bearer.reveal()}"
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body).encode()
        timeout = httpx.Timeout(
            min(call.timeout, ANSWER_SECONDS), connect=min(call.timeout, CONNECT_SECONDS)
        )
        with _naming_errors():
            request = self._http.build_request(
                call.method,
                self._base_url + call.path,
                headers=headers,
                content=content,
                timeout=timeout,
            )
            return self._exchange(request, deadline=self._clock.monotonic() + ANSWER_SECONDS)

    def post_form(self, url: str, form: FileForm) -> Answer:
        """Post a file to a presigned URL. The agent's own credentials are not part of this."""
        refuse_plain_http(url, allow_http=self._allow_http)
        with form.open() as file, _naming_errors():
            request = self._http.build_request(
                "POST",
                url,
                data=dict(form.fields),
                files={"file": (form.filename, file, form.content_type)},
                timeout=httpx.Timeout(UPLOAD_SECONDS, connect=CONNECT_SECONDS),
            )
            return self._exchange(request, deadline=None)

    def _exchange(self, request: httpx.Request, deadline: float | None) -> Answer:
        response = self._http.send(request, stream=True)
        try:
            content = self._read(response, deadline)
        finally:
            response.close()
        retry_after = parse_retry_after(response.headers.get("Retry-After"), self._clock.now())
        content_type = response.headers.get("Content-Type", "")
        return read_answer(response.status_code, content_type, content, retry_after)

    def _read(self, response: httpx.Response, deadline: float | None) -> bytes:
        """Read a body that stays within its bounds of size and time."""
        content = bytearray()
        for block in response.iter_raw():
            content += block
            if len(content) > LARGEST_ANSWER:
                raise NoAnswerError("the answer was larger than any answer of a control plane")
            if deadline is not None and self._clock.monotonic() > deadline:
                raise NoAnswerError("the answer did not end in time")
        return bytes(content)


@contextmanager
def _naming_errors() -> Iterator[None]:
    """Turn whatever httpx raises into the absence of an answer."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        never_left = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        raise NoAnswerError(_reason(error), arrived=not never_left) from error


def _reason(error: Exception) -> str:
    """Name a network error without quoting it: its text may hold the URL or a header."""
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (httpx.ConnectTimeout, "no connection in time"),
        (httpx.ConnectError, "no connection (name, network, or TLS certificate)"),
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
