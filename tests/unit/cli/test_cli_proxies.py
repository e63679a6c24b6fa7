"""What the environment says about proxies never breaks the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_cli.clock import SystemClock
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.http import Connection

URL = "https://cp.example/prod"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")


@pytest.mark.parametrize(
    "entry", ["fd00::/8", "10.0.0.0/8", "*.example.com", "a b", "host:port", "[fe80::1", "://", "é"]
)
def test_no_entry_of_no_proxy_breaks_a_command(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("NO_PROXY", entry)
    Connection(URL, None, clock=SystemClock()).close()


@pytest.mark.parametrize("text", ["socks5://me:hunter2@a.example", "http://me:hunter2@", "x://y"])
def test_an_unusable_proxy_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(CliError, match="HTTPS_PROXY cannot be used") as refused:
        Connection(URL, None, clock=SystemClock())
    assert refused.value.exit_code is ExitCode.USAGE
    assert "hunter2" not in refused.value.line
    assert refused.value.__context__ is None
    monkeypatch.setenv("NO_PROXY", "*.example")
    Connection(URL, None, clock=SystemClock()).close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_cas_that_cannot_be_read_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(CliError, match="SSL_CERT_FILE") as refused:
        Connection(URL, None, clock=SystemClock())
    assert refused.value.exit_code is ExitCode.USAGE
