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
from rollcall_agent.proxies import Mounts, mounts_for
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


def through(proxy: httpx.Proxy) -> httpx.BaseTransport:
    return httpx.HTTPTransport(verify=False, proxy=proxy)


def goes_through(url: str, mounts: Mounts) -> bool:
    """Tell whether httpx takes one of the mounts for a URL."""
    taken: list[str] = []

    class Taken(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            taken.append(str(request.url))
            return httpx.Response(200)

    found = {name: None if mount is None else Taken() for name, mount in mounts.items()}
    direct = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=direct, trust_env=False, mounts=found) as client:
        client.get(url)
    return bool(taken)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["https", "all"])
@pytest.mark.parametrize(
    "text", [PROXY, "user:hunter2@proxy.example:3128", "https://proxy.example"]
)
def test_a_proxy_is_gone_through(name: str, text: str) -> None:
    assert goes_through(URL, mounts_for(URL, through, {name: text}))


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("cp.example", "cp.example"),
        ("example", "cp.example"),
        (".example", "cp.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "[fd00::1]"),
        ("[fd00::1]", "[fd00::1]"),
        ("https://cp.example", "cp.example"),
        ("*", "cp.example"),
        ("fd00::/8, host:port,cp.example", "cp.example"),
    ],
)
def test_what_no_proxy_names_is_asked_directly(entry: str, host: str) -> None:
    url = f"https://{host}/prod"
    assert not goes_through(url, mounts_for(url, through, {"https": PROXY, "no": entry}))


@pytest.mark.parametrize(
    "entry",
    [
        "::1", "[::1]", "fd00::/8", "10.0.0.0/8", "*.example.com", "host:8080", "a b", "https://x",
        "exa_mple..com", "[fe80::1", "host:port", "https://", "://", "\x00", "é..é", ",,",
    ],
)  # fmt: skip
def test_an_entry_that_names_something_else_or_nothing_breaks_nothing(entry: str) -> None:
    mounts = mounts_for(URL, through, {"https": PROXY, "no": entry})
    assert goes_through(URL, mounts)


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
    mounts = mounts_for(URL, through, {"all": text, "no": "cp.example"})
    with httpx.Client(trust_env=False, mounts=mounts) as client, pytest.raises(httpx.ProxyError):
        client.get("https://store.example/bucket")


def test_this_host_itself_needs_no_proxy() -> None:
    assert mounts_for("http://127.0.0.1:1/", through, {"http": "socks5://proxy.example"}) == {}


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
