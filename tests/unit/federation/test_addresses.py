"""Where requests to a provider may go."""

import ipaddress

import pytest

from chalicelib.federation.addresses import admit, is_public
from chalicelib.federation.failures import ProviderError
from chalicelib.federation.fetch import place
from chalicelib.federation.provider import issuer_place

REFUSED = [
    "0.0.0.0",  # noqa: S104 - refused is the point
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.9.9.9",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
ADMITTED = [
    "1.1.1.1",
    "100.63.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "2606:4700::1111",
    "64:ff9b::101:101",
    "2002:101:101::1",
    "::ffff:1.1.1.1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ProviderError, match="address_refused"):
        admit([address], loopback=False)


@pytest.mark.parametrize("address", ADMITTED)
def test_a_public_address_is_admitted(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert admit([address], loopback=False) == [address]


def test_one_private_address_spoils_a_name() -> None:
    with pytest.raises(ProviderError, match="address_refused"):
        admit(["1.1.1.1", "10.0.0.1"], loopback=False)
    with pytest.raises(ProviderError, match="address_refused"):
        admit(["10.0.0.1", "1.1.1.1"], loopback=False)


def test_a_link_local_address_with_its_zone_is_refused() -> None:
    with pytest.raises(ProviderError, match="address_refused"):
        admit(["fe80::1%eth0"], loopback=False)


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(ProviderError, match="name_not_found"):
        admit([], loopback=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254"])
def test_where_the_loopback_is_admitted_nothing_else_is(address: str) -> None:
    assert admit(["127.0.0.1", "::1"], loopback=True) == ["127.0.0.1", "::1"]
    with pytest.raises(ProviderError, match="address_refused"):
        admit(["127.0.0.1", address], loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/",
        "ftp://idp.example/",
        "file:///etc/passwd",
        "//idp.example/",
        "idp.example",
        "https://",
        "https:///path",
        "https://user@idp.example/",
        "https://user:pass@idp.example/",
        "https://@idp.example/",
        "https://idp.example/#fragment",
        "https://idp.example/#",
        "https://idp.example\\@evil.example/",
        "https://idp.example/a b",
        "https://idp.example/\r\nHost: evil",
        "https://idp.example:22/",
        "https://idp.example:0x1bb/",
        "https://idp.example:99999/",
        "https://bücher.example/",
        "https://-idp.example/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://" + "a" * 254 + "/",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ProviderError, match="address_invalid"):
        place(url)


def test_a_port_is_allowed_only_where_the_issuer_has_it() -> None:
    assert issuer_place("https://idp.example:8443/realm").port == 8443
    assert place("https://idp.example:8443/token", port=8443).port == 8443
    assert place("https://idp.example/token", port=8443).port == 443
    for port in (8444, 6379):
        with pytest.raises(ProviderError, match="address_invalid"):
            place(f"https://idp.example:{port}/token", port=8443)
    with pytest.raises(ProviderError, match="address_invalid"):
        place("https://idp.example:8443/token", port=443)


def test_an_issuer_has_no_query() -> None:
    with pytest.raises(ProviderError, match="address_invalid"):
        issuer_place("https://idp.example/?tenant=1")


def test_the_host_header_names_the_port_where_it_is_not_the_usual_one() -> None:
    assert place("https://idp.example/x?y=1").authority == "idp.example"
    assert place("https://idp.example/x?y=1").target == "/x?y=1"
    assert place("https://idp.example:8443").authority == "idp.example:8443"
    assert place("https://idp.example:8443").target == "/"
    assert place("https://[2606:4700::1111]/").authority == "[2606:4700::1111]"
