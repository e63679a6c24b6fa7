"""How the installer reaches the control plane: checked TLS, a proxy, plain HTTP if insisted on."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.install_script.control_plane import CHECK, ControlPlane, serve
from tests.e2e.install_script.host import FAKE_AGENT, Host


def certificate(folder: Path) -> Path:
    """A certificate of this machine's loopback that only itself vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a private CA")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
    (folder / "ca.pem").write_bytes(made.public_bytes(Encoding.PEM))
    return folder / "ca.pem"


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[Host]:
    certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    root = tmp_path / "host"
    (root / "fake").mkdir(parents=True)
    with serve(ControlPlane(FAKE_AGENT.read_bytes()), tls) as plane:
        yield Host(root, plane)


def test_a_private_ca_is_trusted_where_it_is_named_and_told_to_the_agent(over_tls: Host) -> None:
    bundle = over_tls.root.parent / "ca.pem"
    result = over_tls.install(ROLLCALL_CA_BUNDLE=str(bundle))
    assert result.returncode == 0, result.stderr
    # A copy of it: the service sees neither homes nor /tmp.
    kept = over_tls.config.parent / "ca.pem"
    assert kept.read_bytes() == bundle.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o644
    assert over_tls.settings()["ROLLCALL_CA_BUNDLE"] == str(kept)
    environment = over_tls.fake("environment").read_text().splitlines()
    assert f"ROLLCALL_CA_BUNDLE={kept}" in environment
    bundle.unlink()
    over_tls.binary.unlink()
    assert over_tls.install(ROLLCALL_CA_BUNDLE=str(kept)).returncode == 0
    assert kept.exists()


def test_a_bundle_without_a_newline_at_its_end_is_one_all_the_same(over_tls: Host) -> None:
    bundle = over_tls.root.parent / "ca.pem"
    bundle.write_text(bundle.read_text().rstrip("\n"))
    script = over_tls.plane.script()
    public = over_tls.write("public.pem", bundle.read_text())
    assert script.count("/etc/ssl/certs/ca-certificates.crt") == 1
    script = script.replace("/etc/ssl/certs/ca-certificates.crt", str(public))
    result = over_tls.install(script=script, ROLLCALL_CA_BUNDLE=str(bundle))
    assert result.returncode == 0, result.stderr


def test_a_byte_order_mark_does_not_hide_a_certificate(over_tls: Host) -> None:
    bundle = over_tls.root.parent / "ca.pem"
    plain = bundle.read_bytes()
    bundle.write_bytes(b"\xef\xbb\xbf" + plain)
    result = over_tls.install(ROLLCALL_CA_BUNDLE=str(bundle))
    assert result.returncode == 0, result.stderr
    assert (over_tls.config.parent / "ca.pem").read_bytes() == plain


def test_a_certificate_that_nobody_vouches_for_is_refused(over_tls: Host) -> None:
    # Not even an operator's own .curlrc turns the check off.
    over_tls.write("home/.curlrc", "insecure\n")
    result = over_tls.install()
    assert result.returncode == 1
    assert "cannot reach" in result.stderr
    assert "ROLLCALL_CA_BUNDLE" in result.stderr
    assert over_tls.plane.asked == []


def test_a_missing_ca_bundle_is_said_at_once(host: Host) -> None:
    result = host.install(ROLLCALL_CA_BUNDLE="/nowhere/ca.pem")
    assert result.returncode == 2
    assert host.plane.asked == []


def test_a_proxy_is_used(host: Host, plane: ControlPlane) -> None:
    proxy = plane.url.removesuffix("/dev")
    plane.url = "http://control-plane.invalid/dev"
    result = host.install(http_proxy=proxy, ROLLCALL_ALLOW_HTTP="1")
    assert result.returncode == 0, result.stderr
    assert plane.asked[:2] == [f"{plane.url}{CHECK}", f"{plane.url}/agent/manifest"]
    assert host.settings()["ROLLCALL_ALLOW_HTTP"] == "1"


@pytest.mark.parametrize(
    "url",
    ["http://control-plane.invalid/dev", "http://127.evil.invalid", "http://127.0.0.1.invalid",
     "http://localhost.invalid"],
)  # fmt: skip
def test_plain_http_to_another_host_has_to_be_insisted_on(host: Host, url: str) -> None:
    result = host.install(ROLLCALL_URL=url)
    assert result.returncode == 2
    assert "plain HTTP" in result.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://host", "must begin with https://"),
        ("control-plane.example/prod", "must begin with https://"),
        ("--insecure", "must begin with https://"),
        ("https://", "names no host"),
        ("https://<id>.execute-api.eu-west-1.amazonaws.com/prod", "names no host"),
        ("https://host/x y", "holds blanks"),
        ("https://host /x", "holds blanks"),
        ("https://host/'$(id)'", "holds characters that no stage has"),
        ("https://host/prod?x=1", "a query or a fragment"),
        ("https://host/prod#x", "a query or a fragment"),
        ("https://alice:secret@host/prod", "a user name or a password"),
        ("https://host:0", "must be from 1 to 65535"),
        ("https://host:70000", "must be from 1 to 65535"),
        ("https://host:port", "names no host"),
        ("https://x1.execute-api.eu-west-1.amazonaws.com", "names no stage"),
        ("https://x1.execute-api.eu-west-1.amazonaws.com/", "names no stage"),
        ("https://x1.execute-api.eu-west-1.amazonaws.com/api/v1", "names no stage"),
        ("https://x1-vpce-2.execute-api.us-gov-west-1.amazonaws.com", "names no stage"),
        ("https://x1.execute-api.cn-north-1.amazonaws.com.cn", "names no stage"),
    ],
)
def test_what_is_no_url_is_refused_in_words(host: Host, url: str, reason: str) -> None:
    result = host.install(ROLLCALL_URL=url)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "secret" not in result.stderr
    assert host.plane.asked == []


@pytest.mark.parametrize(
    "end", ["/", "/api/v1", "/api/v1/", "//api/v1//", "/install/install.sh", " ", "\n"]
)
def test_what_a_url_has_too_much_at_its_end_is_taken_off(
    host: Host, plane: ControlPlane, end: str
) -> None:
    result = host.install("--url", f"{plane.url}{end}".rstrip("\n"), token=None)
    assert result.returncode == 2, "there is no token, so it goes no further"
    assert "there is no enrollment token" in result.stderr
    assert ("was taken off" in result.stdout) is ("api" in end or "install" in end)


def test_an_odd_but_right_url_comes_to_the_agent_as_it_wants_it(
    host: Host, plane: ControlPlane
) -> None:
    odd = plane.url.replace("http:", "HTTP:") + "/api/v1/"
    assert host.install("--url", odd).returncode == 0
    assert host.fake("url").read_text().strip() == plane.url


UNUSABLE_PROXIES = [
    *("socks5://proxy.example:1080", "SOCKS5H://proxy.example", "ftp://proxy.example", "http://"),
    *("proxy.example:port", "http://proxy example", "http://proxy\n.example", "://"),
    "proxy\x01.example",
]  # fmt: skip


@pytest.mark.parametrize("proxy", UNUSABLE_PROXIES)
def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_sent(
    host: Host, plane: ControlPlane, proxy: str
) -> None:
    plain = {"ROLLCALL_URL": "http://control-plane.invalid/dev", "ROLLCALL_ALLOW_HTTP": "yes"}
    result = host.install(http_proxy=proxy, **plain)
    assert result.returncode == 2
    assert "proxy" in result.stderr
    assert plane.asked == []


def test_a_proxy_that_nothing_goes_through_is_left_alone(host: Host) -> None:
    assert (
        host.install(https_proxy="socks5://nowhere.invalid:1", NO_PROXY="\"quoted'").returncode == 0
    )


@pytest.mark.parametrize(
    "no_proxy", ["x.example *.INVALID", "a\tb\n.invalid", "control-plane.invalid:80", "invalid."]
)
def test_the_way_past_a_proxy_is_found_whatever_curl_understands(
    host: Host, plane: ControlPlane, no_proxy: str
) -> None:
    proxy = plane.url.removesuffix("/dev")
    plain = {"ROLLCALL_URL": "http://control-plane.invalid/dev", "ROLLCALL_ALLOW_HTTP": "1"}
    result = host.install(http_proxy=proxy, NO_PROXY=no_proxy, **plain)
    # No proxy was asked, and without one there is no such host.
    assert result.returncode == 4
    assert "there is no such host name" in result.stderr
    assert plane.asked == []


def test_each_host_of_a_redirect_has_its_own_way(host: Host, plane: ControlPlane) -> None:
    proxy = plane.url.removesuffix("/dev")
    plane.elsewhere = "http://bucket.invalid"
    environment = {"http_proxy": proxy, "NO_PROXY": "localhost", "ROLLCALL_ALLOW_HTTP": "1"}
    assert host.install(**environment).returncode == 0
    assert plane.asked[-1] == "http://bucket.invalid/bucket?signed=1"
    assert plane.asked[0].startswith("/dev/")


def test_a_redirect_without_end_is_given_up(host: Host, plane: ControlPlane) -> None:
    plane.elsewhere = f"{plane.url}/agent/binary?os=a&arch=b&version="
    result = host.install()
    assert result.returncode == 1
    assert "answered HTTP 302" in result.stderr


@pytest.mark.parametrize("name", ["ROLLCALL_URL", "RM_SERVER", "BACKEND_URL"])
def test_each_documented_name_of_the_url_goes_before_the_filled_in_one(
    host: Host, plane: ControlPlane, name: str
) -> None:
    script = plane.script().replace(plane.url, "https://other.invalid")
    result = host.install(script=script, **{name: f"{plane.url}/"})
    assert result.returncode == 0, result.stderr
    assert host.fake("url").read_text().strip() == plane.url


def test_a_script_that_nobody_filled_in_asks_for_the_url(host: Host, plane: ControlPlane) -> None:
    script = plane.script().replace(plane.url, "@ROLLCALL_" + "URL@")
    result = host.install(script=script)
    assert result.returncode == 2
    assert "no control plane is known" in result.stderr


def test_what_is_not_the_control_plane_is_named(host: Host, plane: ControlPlane) -> None:
    plane.check = (403, b"<html>no</html>")
    result = host.install()
    assert result.returncode == 1
    assert "answered HTTP 403" in result.stderr
    assert not host.binary.exists()
