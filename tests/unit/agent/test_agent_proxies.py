"""What the environment says about proxies never breaks the agent, and never shows a password."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from rollcall_agent.client import ControlPlane
from rollcall_agent.clock import SystemClock
from rollcall_agent.commands.status import status
from rollcall_agent.downloads import DownloadError, Downloads
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.proxies import routed
from typer import Exit

URL = "https://cp.example/prod"
PROXY = "http://user:hunter2@proxy.example:3128"
UNUSABLE = [
    "socks5://user:hunter2@proxy.example",
    "socks5h://user:hunter2@proxy.example",
    "socks4://user:hunter2@proxy.example",
    "ftp://user:hunter2@proxy.example",
    "http://user:hunter2@",
    "http://us%er:hunt#er2@127.0.0.1:9/",
    "http://user:hunter2@host:port",
    "http://user:hunter2@[fe80::1",
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("text", UNUSABLE)
def test_an_unusable_proxy_is_a_usage_error_without_its_password(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("HTTPS_PROXY", text)
    with pytest.raises(AgentError, match="HTTPS_PROXY") as refused:
        ControlPlane(URL, clock=SystemClock())
    assert refused.value.exit_code is ExitCode.USAGE
    assert not {"hunt", "user", "er2"} & set(refused.value.line.replace(":", " ").split())
    assert "hunt" not in refused.value.line
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("text", UNUSABLE)
def test_an_unusable_proxy_that_does_not_apply_breaks_nothing_and_is_not_gone_past(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("ALL_PROXY", text)
    environment.setenv("NO_PROXY", "cp.example")
    ControlPlane(URL, clock=SystemClock()).close()
    transport = routed(URL, None, {"all": text, "no": "cp.example"})
    with httpx.Client(transport=transport) as client, pytest.raises(httpx.ProxyError):
        client.get("https://store.example/bucket")


def test_status_ends_with_that_line_too(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("HTTPS_PROXY", UNUSABLE[0])
    config = tmp_path / "agent.env"
    config.write_text(f"ROLLCALL_API_BASE_URL={URL}\n")
    with pytest.raises(Exit) as ended:
        status(config=config)
    assert ended.value.exit_code == ExitCode.USAGE
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "HTTPS_PROXY" in line]
    assert "SOCKS" in line
    assert "hunter2" not in line


def test_a_download_only_fails(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", UNUSABLE[0])
    with pytest.raises(DownloadError, match="HTTPS_PROXY"):
        Downloads(URL, SystemClock()).manifest(None)


@pytest.mark.parametrize(
    ("content", "code"), [(None, ExitCode.UNREADY), ("no certificate", ExitCode.USAGE)]
)
def test_cas_that_cannot_be_read_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, code: ExitCode
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(AgentError, match="SSL_CERT_FILE") as refused:
        ControlPlane(URL, clock=SystemClock())
    assert refused.value.exit_code is code
