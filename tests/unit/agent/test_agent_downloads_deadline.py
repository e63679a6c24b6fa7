from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from rollcall_agent import downloads
from rollcall_agent.downloads import DownloadError, Downloads

from tests.unit.agent.fakes import FakeClock


def test_a_download_that_does_not_end_in_time_is_given_up() -> None:
    clock = FakeClock()

    class Slow(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(10):
                clock.time += downloads.SLOWEST_DOWNLOAD / 4
                yield b"x"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Slow()))
    with pytest.raises(DownloadError, match="in time"):
        Downloads("https://cp.example", clock, transport=transport).manifest(None)
