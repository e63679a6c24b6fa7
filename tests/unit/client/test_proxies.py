"""Each request goes its own way: through the proxy of its scheme, or past it by NO_PROXY."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest
from rollcall_client.proxies import Routed, UnusableProxyError

URL = "https://cp.example/prod"
PROXY = "http://user:hunter2@proxy.example:3128"
DIRECT = "direct"


class Network:
    """What is connected, and which way a request took."""

    def __init__(self, settings: Mapping[str, str], first_url: str = URL) -> None:
        self.closed: list[str] = []
        self.taken = ""
        self.routed = Routed(first_url, self.connect, settings)

    def connect(self, proxy: httpx.Proxy | None) -> httpx.BaseTransport:
        network, name = self, DIRECT if proxy is None else proxy.url.host

        class Way(httpx.BaseTransport):
            def handle_request(self, _: httpx.Request) -> httpx.Response:
                network.taken = name
                return httpx.Response(200)

            def close(self) -> None:
                network.closed.append(name)

        return Way()

    def way(self, url: str) -> str:
        self.routed.handle_request(httpx.Request("GET", url))
        return self.taken


@pytest.mark.parametrize("name", ["https", "all"])
@pytest.mark.parametrize(
    "text", [PROXY, "user:hunter2@proxy.example:3128", "https://proxy.example"]
)
def test_a_proxy_is_gone_through(name: str, text: str) -> None:
    assert Network({name: text}).way(URL) == "proxy.example"


def test_the_proxy_of_the_scheme_goes_before_the_one_for_all() -> None:
    network = Network({"https": "a.example", "all": "b.example"})
    assert [network.way(URL), network.way("http://cp.example")] == ["a.example", "b.example"]
    assert Network({"http": "a.example"}).way(URL) == DIRECT
    assert Network({}).way(URL) == DIRECT


@pytest.mark.parametrize("no_proxy", ["cp.example", "*.example", "cp.example:443 other"])
def test_each_request_is_decided_by_its_own_host(no_proxy: str) -> None:
    network = Network({"all": PROXY, "no": no_proxy})
    assert network.way(URL) == DIRECT
    assert network.way("https://bucket.s3.amazonaws.com/key") == "proxy.example"
    assert network.way("https://cp.example/again") == DIRECT


def test_an_object_store_in_a_network_of_no_proxy_is_asked_directly() -> None:
    network = Network({"all": PROXY, "no": "fd00::/8,10.0.0.0/8"})
    assert network.way("https://[fd12::1]/bucket") == DIRECT
    assert network.way("http://10.1.2.3:9000/bucket") == DIRECT
    assert network.way(URL) == "proxy.example"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:1", "127.1.2.3", "[::1]:1"])
def test_this_host_itself_needs_no_proxy_whatever_it_is(host: str) -> None:
    url = f"http://{host}/"
    network = Network({"http": "socks5://nowhere.example", "https": PROXY}, url)
    assert network.way(url) == DIRECT
    assert network.way("https://bucket.s3.amazonaws.com/key") == "proxy.example"


def test_an_unusable_proxy_that_is_not_needed_at_first_is_not_gone_past() -> None:
    network = Network({"all": "http://user:hunter2@", "no": "cp.example"})
    assert network.way(URL) == DIRECT
    with pytest.raises(httpx.ProxyError):
        network.way("https://bucket.s3.amazonaws.com/key")


@pytest.mark.parametrize("text", ["http://", "ftp://user:hunter2@a.example", "http://[fe80::1"])
def test_an_unusable_proxy_is_named_by_its_setting_alone(text: str) -> None:
    with pytest.raises(UnusableProxyError, match="HTTPS_PROXY cannot be used") as refused:
        Network({"https": text})
    assert "hunter2" not in refused.value.line
    assert refused.value.__context__ is None


def test_every_way_is_closed() -> None:
    network = Network({"https": "a.example", "all": "b.example"})
    network.routed.close()
    assert sorted(network.closed) == ["a.example", "b.example", DIRECT]
