"""The engines as processes: ready when they say so, and gone with whoever started them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.engines import EngineError, chosen, real_engines
from infra.engines.engine import Launch, installed, running

HEALTH = {"dynamodb": "/_ministack/ready", "s3": "/healthz"}
PARENT = """
import sys, time
from pathlib import Path
from infra.engines import real_engines
with real_engines(Path(sys.argv[1])) as engines:
    print(engines.dynamodb, engines.s3, flush=True)
    time.sleep(600)
"""


def is_open(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30).close()
    except ConnectionError:  # refused, or reset while the port is being closed
        return False
    return True


def all_closed(urls: list[str], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while any(is_open(url) for url in urls):
        if time.monotonic() > until:
            return False
        os.sched_yield()
    return True


def test_they_serve_within_the_block_and_leave_neither_process_nor_file(tmp_path: Path) -> None:
    with real_engines(tmp_path) as engines:
        urls = [engines.dynamodb, engines.s3]
        for url, health in zip(urls, HEALTH.values(), strict=True):
            assert httpx.get(url + health, timeout=5, trust_env=False).status_code == 200
    assert all_closed(urls)
    assert list(tmp_path.iterdir()) == []


def test_they_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        urls = parent.stdout.readline().split()
        assert len(urls) == 2
        assert all(is_open(url) for url in urls)
        parent.send_signal(signal.SIGKILL)
        parent.wait(20)
        assert all_closed(urls)
    finally:
        parent.kill()
        parent.communicate()


def test_one_that_does_not_start_says_its_last_words(tmp_path: Path) -> None:
    script = "import sys; print('no such flag'); sys.exit(3)"
    launch = Launch("Broken", 1, lambda _: [sys.executable, "-c", script], lambda _: {}, "/")
    with pytest.raises(EngineError, match=r"(?s)Broken does not start.*no such flag"):
        running(launch, tmp_path / "broken").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_not_installed_names_the_command_that_does_it() -> None:
    with pytest.raises(EngineError, match="make engines"):
        installed("nothing", "bin", "nothing")


def test_an_unknown_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, real in (("", False), ("moto", False), ("real", True)):
        monkeypatch.setenv("ROLLCALL_ENGINES", given)
        assert chosen() is real
    monkeypatch.setenv("ROLLCALL_ENGINES", "reel")
    with pytest.raises(EngineError, match="moto or real"):
        chosen()
