"""Fetching a release: the manifest and a binary. Nothing secret is sent with it.

Next to ``client`` this is the other module that knows httpx, because a download streams, follows
one redirect and has no credentials, and a call does and has none of that.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urljoin

from rollcall_client.lean import httpx

from rollcall_agent import __version__
from rollcall_agent.advice import explain
from rollcall_agent.answers import read_answer
from rollcall_agent.client import public_context
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError
from rollcall_agent.proxies import routed
from rollcall_agent.release_manifest import LARGEST_MANIFEST
from rollcall_agent.tls import trusting
from rollcall_agent.urls import refuse_plain_http

CONNECT_SECONDS: Final = 10.0
BLOCK_SECONDS: Final = 60.0  # for one block, not for the file
SLOWEST_DOWNLOAD: Final = 1800.0
_OK: Final = 200
_REDIRECTS: Final = frozenset({302, 303, 307})


class DownloadError(Exception):
    """It could not be fetched this time."""


class Releases(Protocol):
    """Where releases come from."""

    def manifest(self, version: str | None) -> bytes:
        """Fetch the manifest of a version, or the newest one.

        Raises:
            DownloadError: It could not be fetched.
        """

    def binary(self, os: str, arch: str, version: str) -> Iterator[bytes]:
        """Fetch a binary block by block.

        Raises:
            DownloadError: It could not be fetched, or broke off.
        """


@dataclass(frozen=True)
class Downloads:
    """The releases of a control plane."""

    base_url: str
    clock: Clock
    allow_http: bool = False
    ca_bundle: Path | None = None
    transport: httpx.BaseTransport | None = None

    def manifest(self, version: str | None) -> bytes:
        """Fetch the manifest of a version, or the newest one."""
        query = {} if version is None else {"version": version}
        url = httpx.URL(f"{self.base_url}/agent/manifest", params=query)
        with _naming_errors(), self._get(str(url)) as response:
            content = bytearray()
            for block in self._blocks(response):
                content += block
                if len(content) > LARGEST_MANIFEST:
                    raise DownloadError("the manifest is larger than any manifest")
            _require(response, bytes(content))
            return bytes(content)

    def binary(self, os: str, arch: str, version: str) -> Iterator[bytes]:
        """Fetch a binary block by block, from where the control plane says that it is."""
        query = {"os": os, "arch": arch, "version": version}
        url = str(httpx.URL(f"{self.base_url}/agent/binary", params=query))
        with _naming_errors():
            with self._get(url) as response:
                if response.status_code not in _REDIRECTS:
                    _require(response, self._first(response), expected=None)
                url = urljoin(url, response.headers.get("Location", ""))
            with self._get(url) as response:
                if response.status_code != _OK:
                    raise DownloadError(
                        f"the object store refused the binary (HTTP {response.status_code})"
                    )
                yield from self._blocks(response)

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return trusting(self.ca_bundle) or public_context()

    @contextmanager
    def _get(self, url: str) -> Iterator[httpx.Response]:
        try:
            refuse_plain_http(url, allow_http=self.allow_http)
            transport = self.transport or routed(url, self._trusted)
        except AgentError as error:
            raise DownloadError(error.line) from error
        with (
            httpx.Client(
                transport=transport,
                follow_redirects=False,
                trust_env=False,
                timeout=httpx.Timeout(BLOCK_SECONDS, connect=CONNECT_SECONDS),
                headers={
                    "User-Agent": f"rollcall-agent/{__version__}",
                    "Accept-Encoding": "identity",
                },
            ) as client,
            client.stream("GET", url) as response,
        ):
            yield response

    def _blocks(self, response: httpx.Response) -> Iterator[bytes]:
        deadline = self.clock.monotonic() + SLOWEST_DOWNLOAD
        for block in response.iter_raw():
            if self.clock.monotonic() > deadline:
                raise DownloadError("the download did not end in time")
            yield block

    def _first(self, response: httpx.Response) -> bytes:
        """Read what a refusal says, and no more of it than that can be."""
        content = bytearray()
        for block in self._blocks(response):
            content += block
            if len(content) > LARGEST_MANIFEST:
                break
        return bytes(content)


def _require(response: httpx.Response, content: bytes, expected: int | None = _OK) -> None:
    """Take the expected status, and turn every other one into what it says."""
    if response.status_code == expected:
        return
    answer = read_answer(
        response.status_code, response.headers.get("Content-Type", ""), content, None
    )
    raise DownloadError(explain(answer))


@contextmanager
def _naming_errors() -> Iterator[None]:
    """Turn whatever httpx raises into a failure of this download."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise DownloadError(f"{type(error).__name__}: no connection, or it broke off") from error
    except (OSError, ValueError) as error:
        raise DownloadError(f"{type(error).__name__} while connecting") from error
