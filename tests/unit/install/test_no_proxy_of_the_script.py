"""install.sh takes a proxy, or none, for the same URLs as the agent."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import pytest

from tests.unit.install.script_functions import call

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "no_proxy.json").read_text())
DRIVER = r"""
while [ "$#" -gt 0 ]; do
  if bypasses "$1" "$2"; then printf 'past\0'; else printf 'through\0'; fi
  shift 2
done
"""
MEANINGLESS = [
    "",
    "[",
    "]",
    "[]",
    "[]:",
    "[]:1",
    "/",
    "/8",
    ":",
    "::",
    ":::",
    "://",
    "a://b://c",
    "1.2.3.4/" + "9" * 500,
    "a:" + "9" * 500,
    "fe80::1%eth0",
    "%",
    "*" * 9,
    "x" * 5000,
    "." * 100,
    "[fd00::/8",
    "fd00::]/8",
    "https://[",
    "https://a:b@c:1",
    "?",
    "[a-z]",
    "cp.example:0x1bb",
    "10.0.0.1/8/8",
    "$(id)",
    "`id`",
    "'",
    '"',
    "\\",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "12345::",
    "08.0.0.1",
    "10.0.0.1:08x",
]


@pytest.fixture(scope="module")
def decided() -> list[str]:
    """What the script decides on each vector."""
    pairs = ((each["url"], each["no_proxy"]) for each in VECTORS)
    return call(DRIVER, *chain.from_iterable(pairs))


@pytest.mark.parametrize(
    "number",
    range(len(VECTORS)),
    ids=lambda number: f"{VECTORS[number]['no_proxy']!r} {VECTORS[number]['url']}",
)
def test_an_entry_excepts_for_the_script_what_it_excepts_for_the_agent(
    decided: list[str], number: int
) -> None:
    assert decided[number] == ("past" if VECTORS[number]["bypass"] else "through")


@pytest.mark.parametrize("host", ["cp.example", "10.0.0.1", "[fd00::1]", "localhost"])
def test_an_entry_that_means_nothing_is_ignored_beside_one_that_does(host: str) -> None:
    url = f"https://{host}/prod"
    beside = [f"{entry},{host}" for entry in MEANINGLESS]
    asked = chain.from_iterable((url, text) for text in [*MEANINGLESS, *beside])
    expected = ["through"] * len(MEANINGLESS) + ["past"] * len(beside)
    assert dict(zip([*MEANINGLESS, *beside], call(DRIVER, *asked), strict=True)) == dict(
        zip([*MEANINGLESS, *beside], expected, strict=True)
    )


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://cp.example", {"https_proxy": "a:1"}, "a:1"),
        ("https://cp.example", {"HTTPS_PROXY": "a:1"}, "a:1"),
        ("https://cp.example", {"https_proxy": "a:1", "HTTPS_PROXY": "b:1"}, "a:1"),
        ("https://cp.example", {"https_proxy": "", "HTTPS_PROXY": "b:1"}, ""),
        ("https://cp.example", {"ALL_PROXY": "a:1"}, "a:1"),
        ("https://cp.example", {"http_proxy": "a:1"}, ""),
        ("http://cp.example", {"HTTP_PROXY": "a:1"}, "a:1"),
        ("HTTP://cp.example", {"http_proxy": "a:1"}, "a:1"),
        ("https://cp.example", {"https_proxy": "a:1", "NO_PROXY": "x, .example"}, ""),
        ("https://cp.example", {"https_proxy": "a:1", "NO_PROXY": "*", "no_proxy": ""}, "a:1"),
        ("https://10.1.2.3", {"https_proxy": "a:1", "no_proxy": "10.0.0.0/8"}, ""),
        ("http://localhost:1", {"http_proxy": "a:1"}, ""),
        ("http://127.9.9.9:1", {"http_proxy": "a:1"}, ""),
        ("http://[::1]:1", {"http_proxy": "a:1"}, ""),
        ("http://[::2]:1", {"http_proxy": "a:1"}, "a:1"),
        ("http://127.0.0.1.example", {"http_proxy": "a:1"}, "a:1"),
    ],
)
def test_a_request_takes_the_way_that_the_agents_requests_take(
    url: str, environment: dict[str, str], proxy: str
) -> None:
    assert call('choose_proxy "$1"; printf "%s\\0" "$proxy"', url, **environment) == [proxy]
