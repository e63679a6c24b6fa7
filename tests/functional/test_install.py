"""What a host gets before it has any credential: scripts, the manifest, binaries."""

import dataclasses
import hashlib
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from chalicelib import runtime
from chalicelib.release_manifest import Platform
from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.gateway import RawAnswer, Sent, problem, send
from tests.functional.releases import LINUX, LINUX_ARM, WINDOWS, Releases
from tests.functional.service_faults import OUTAGES, Trouble, troubled

SCRIPTS = ["install.sh", "install.ps1"]


@pytest.fixture
def releases(stack: dict[str, str], api: Api, tmp_path: Path) -> Iterator[Releases]:
    assert api
    made = Releases(stack, tmp_path)
    yield made
    made.clear()


def get(path: str, **query: str) -> RawAnswer:
    return send(Sent("GET", path, query={name: [value] for name, value in query.items()} or None))


def own_key(stack: dict[str, str]) -> str:
    key = boto3.client("kms").get_public_key(KeyId=stack["ReleaseKeyArn"])["PublicKey"]
    return hashlib.sha256(key).hexdigest()


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_knows_its_own_url_and_the_release_key(stack: dict[str, str], script: str) -> None:
    answer = send(Sent("GET", f"/install/{script}", headers={"host": "evil.example"}))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "https://api.example/functional" in answer.text
    assert own_key(stack) in answer.text
    assert "evil" not in answer.text
    assert not re.search(r"@ROLLCALL_[A-Z0-9_]+@", answer.text)


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_key_the_script_has_none_filled_in(stack: dict[str, str], script: str) -> None:
    now = runtime.current()
    now.settings = dataclasses.replace(now.settings, release_key_sha256=None)
    answer = get(f"/install/{script}")
    assert answer.status == 200
    assert own_key(stack) not in answer.text
    assert "@ROLLCALL_" not in answer.text


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "url",
    [
        'https://x.example/"; rm -rf /; "', "https://x.example/$(id)", "https://x.example/`id`",
        "https://x.example/a b", "https://x.example/\nid", "https://x.example/'", "id; https://x",
        "https://x.example/é", "https://x.example/?a", "https://x.example\\", "file:///etc/x",
    ],
)  # fmt: skip
def test_an_address_that_a_shell_might_understand_is_in_no_script(script: str, url: str) -> None:
    now = runtime.current()
    now.settings = dataclasses.replace(now.settings, public_url=url)
    answer = get(f"/install/{script}")
    assert (answer.status, answer.code) == (503, "public_url_unusable")
    assert url not in answer.text


@pytest.mark.usefixtures("api")
def test_a_plain_custom_address_is_filled_in() -> None:
    now = runtime.current()
    url = "http://127.0.0.1:8080/a-b_c/~d%20"
    now.settings = dataclasses.replace(now.settings, public_url=f"{url}/")
    for script in SCRIPTS:
        text = get(f"/install/{script}").text
        assert url in text
        assert f"{url}/\n" not in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_asks_no_service(releases: Releases, script: str) -> None:
    client = runtime.current().releases._bucket._client
    with troubled(client, "GetObject", OUTAGES[0]) as met:
        assert get(f"/install/{script}").status == 200
    assert met.seen == 0
    assert get(f"/install/{script}", token="x").code == "query_invalid"
    assert releases.said == []


def test_a_mint_shows_the_release_key_and_no_later_answer_does(
    stack: dict[str, str], tenant: Tenant
) -> None:
    minted = tenant.mint()
    assert minted["agent_release_key_sha256"] == own_key(stack)
    path = f"/agent-enrollment/tokens/{minted['enrollment_token_id']}"
    assert "agent_release_key_sha256" not in tenant.call("GET", path).body
    assert "agent_release_key" not in str(tenant.call("GET", "/agent-enrollment/tokens").body)


def test_the_manifest_is_served_as_it_was_signed(releases: Releases) -> None:
    releases.publish("0.2.0", {LINUX: b"linux", WINDOWS: b"windows"})
    for answer in (get("/agent/manifest"), get("/agent/manifest", version="0.2.0")):
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.encode() == releases.read("0.2.0/manifest")
    assert f"file linux x86_64 5 {hashlib.sha256(b'linux').hexdigest()}\n" in answer.text


def test_a_binary_is_a_redirect_that_works_for_five_minutes(releases: Releases) -> None:
    releases.publish("0.2.0", {LINUX: b"linux", WINDOWS: b"windows"})
    releases.publish("0.3.0", {LINUX: b"newer"})
    answer = get("/agent/binary", os="linux", arch="x86_64")
    assert (answer.status, answer.text) == (302, "")
    assert answer.headers["cache-control"] == "no-store"
    url = urllib.parse.urlsplit(answer.headers["location"])
    query = urllib.parse.parse_qs(url.query)
    assert url.path.endswith(f"releases/{releases.key_of('0.3.0', LINUX, b'newer')}")
    assert query["X-Amz-Expires"] == ["300"]
    assert query["response-content-disposition"] == ['attachment; filename="rollcall-agent"']
    older = get("/agent/binary", os="windows", arch="x86_64", version="0.2.0")
    key = releases.key_of("0.2.0", WINDOWS, b"windows")
    assert f"releases/{key}?" in older.headers["location"]
    assert "rollcall-agent.exe" in older.headers["location"]


@pytest.mark.parametrize(
    ("os", "arch", "platform"),
    [
        ("Linux", "amd64", LINUX), ("linux", "x64", LINUX), ("linux", "aarch64", LINUX_ARM),
        ("LINUX", "arm64", LINUX_ARM), ("Windows", "AMD64", WINDOWS),
    ],
)  # fmt: skip
def test_systems_may_name_themselves_as_they_do(
    releases: Releases, os: str, arch: str, platform: Platform
) -> None:
    releases.publish("0.2.0", {LINUX: b"l", LINUX_ARM: b"a", WINDOWS: b"w"})
    answer = get("/agent/binary", os=os, arch=arch)
    assert answer.status == 302
    assert f"releases/0.2.0/{platform.os}-{platform.arch}-" in answer.headers["location"]


@pytest.mark.parametrize(
    ("os", "arch"), [("darwin", "arm64"), ("linux", "riscv64"), ("freebsd", "x86_64")]
)
def test_a_platform_that_was_not_published_is_told_which_were(
    releases: Releases, os: str, arch: str
) -> None:
    releases.publish("0.2.0", {WINDOWS: b"w", LINUX: b"l"})
    answer = get("/agent/binary", os=os, arch=arch)
    problem(answer, 404, "agent_not_published")
    assert answer.body["platforms"] == ["linux/x86_64", "windows/x86_64"]


def test_before_anything_is_published_there_is_a_clear_404(releases: Releases) -> None:
    platform = {"os": "linux", "arch": "x86_64"}
    for version in ({}, {"version": "9.9"}, {"version": "latest"}):
        for answer in (
            get("/agent/manifest", **version),
            get("/agent/binary", **platform, **version),
        ):
            problem(answer, 404, "agent_not_published")
            assert answer.body["platforms"] == []
    # Who asked too early does not keep the release from who asks later.
    releases.publish("0.2.0", {LINUX: b"l"})
    assert get("/agent/manifest").status == 200


@pytest.mark.parametrize(
    "version",
    [
        "", ".", "..", ".1", "../artifacts", "1/../../artifacts/x", "1/2", "a" * 65, "1 0", "1%2f2",
        "1\\2", "é", "1\n", "-1",
    ],
)  # fmt: skip
def test_a_version_that_is_a_path_or_too_long_is_refused(releases: Releases, version: str) -> None:
    releases.publish("0.2.0", {LINUX: b"l"})
    problem(get("/agent/manifest", version=version), 400, "query_invalid")
    answer = get("/agent/binary", os="linux", arch="x86_64", version=version)
    problem(answer, 400, "query_invalid")


@pytest.mark.parametrize(
    "query",
    [
        {}, {"os": "linux"}, {"arch": "x86_64"}, {"os": "", "arch": ""},
        {"os": "../x", "arch": "x86_64"}, {"os": "linux", "arch": "x" * 33},
        {"os": "linux", "arch": "x86_64", "versio": "1"},
    ],
)  # fmt: skip
def test_a_binary_of_no_platform_is_a_bad_request(
    releases: Releases, query: dict[str, str]
) -> None:
    releases.publish("0.2.0", {LINUX: b"l"})
    problem(get("/agent/binary", **query), 400, "query_invalid")


def test_a_worker_asks_for_the_manifest_once_a_minute(
    releases: Releases, clock: FrozenClock
) -> None:
    releases.publish("0.2.0", {LINUX: b"l"})
    client = runtime.current().releases._bucket._client
    with troubled(client, "GetObject", OUTAGES[0], first=3) as met:
        assert "version 0.2.0\n" in get("/agent/manifest").text
        releases.publish("0.3.0", {LINUX: b"m"})
        clock.advance(seconds=59)
        assert "version 0.2.0\n" in get("/agent/manifest").text
        assert get("/agent/binary", os="linux", arch="x86_64").status == 302
        assert met.seen == 1
        clock.advance(seconds=1)
        assert "version 0.3.0\n" in get("/agent/manifest").text
        assert met.seen == 2
        clock.advance(seconds=60)
        assert get("/agent/manifest").status == 503


def test_however_many_versions_are_asked_for_a_worker_keeps_few(releases: Releases) -> None:
    made = releases.publish("0.2.0", {LINUX: b"l"})
    for number in range(20):
        content = made.content.replace(b"0.2.0", f"0.0.{number}".encode())
        releases.write(f"0.0.{number}/manifest", content)
        assert get("/agent/manifest", version=f"0.0.{number}").status == 200
        assert get("/agent/manifest", version=f"1.0.{number}").status == 404
    assert len(runtime.current().releases._kept) == 16


@pytest.mark.parametrize("trouble", OUTAGES, ids=str)
def test_a_store_that_does_not_answer_is_our_fault(releases: Releases, trouble: Trouble) -> None:
    releases.publish("0.2.0", {LINUX: b"l"})
    client = runtime.current().releases._bucket._client
    with troubled(client, "GetObject", trouble):
        for answer in (
            get("/agent/manifest"),
            get("/agent/binary", os="linux", arch="x86_64", version="0.2.0"),
        ):
            assert (answer.status, answer.code) == (503, "release_store_unavailable")
            assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"hello\n", b"x" * 100_000, b"rollcall-agent-manifest 1\nversion 0.2.0\n"],
    ids=range(5),
)
def test_what_is_no_manifest_is_not_handed_out(releases: Releases, content: bytes) -> None:
    releases.write("0.2.0/manifest", content)
    answer = get("/agent/manifest", version="0.2.0")
    assert (answer.status, answer.code) == (503, "release_unreadable")


def test_a_manifest_of_another_version_is_not_handed_out(releases: Releases) -> None:
    manifest = releases.publish("0.2.0", {LINUX: b"l"})
    releases.write("0.3.0/manifest", manifest.content)
    answer = get("/agent/manifest", version="0.3.0")
    assert (answer.status, answer.code) == (503, "release_unreadable")
