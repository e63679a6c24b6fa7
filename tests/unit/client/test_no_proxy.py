"""NO_PROXY is read as curl reads it, and a little further; nothing in it breaks a program.

The vectors are shared with the tests of the install script, which has to decide the same.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from rollcall_client.no_proxy import bypasses

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "no_proxy.json").read_text(encoding="utf-8")
)
HOSTS = ["cp.example", "10.0.0.1", "[fd00::1]", "localhost"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: f"{each['no_proxy']!r} {each['url']}")
def test_an_entry_excepts_what_it_names(vector: dict[str, str | bool]) -> None:
    assert bypasses(str(vector["url"]), str(vector["no_proxy"])) is vector["bypass"]


@pytest.mark.parametrize(
    "entry",
    [
        "\x00", "é..é", "BÜCHER.example", "\ud800", "[", "]", "[]", "[]:", "[]:1", "/", "/8", ":",
        "::", ":::", "://", "a://b://c", "1.2.3.4/" + "9" * 5000, "a:" + "9" * 5000, "fe80::1%eth0",
        "%", "*" * 99, "x" * 100_000, "." * 1000, "[fd00::/8", "fd00::]/8", "https://[",
        "https://a:b@c:1",
    ],
    ids=lambda entry: ascii(entry[:20]),
)  # fmt: skip
@pytest.mark.parametrize("host", HOSTS)
def test_an_entry_that_means_nothing_is_ignored_beside_one_that_does(entry: str, host: str) -> None:
    url = f"https://{host}/prod"
    assert not bypasses(url, entry)
    assert bypasses(url, f"{entry},{host}")


def test_random_texts_never_raise() -> None:
    rolled = random.Random(8)  # noqa: S311 - the same texts in each run
    for _ in range(5000):
        text = "".join(rolled.choices("a1.:/[]*%, -f\t", k=rolled.randrange(12)))
        bypasses(f"https://{rolled.choice(HOSTS)}", text)


@pytest.mark.parametrize("url", ["", "https://", "https://[::1", "https://a:b", "nonsense"])
def test_what_names_no_host_is_excepted_by_nothing(url: str) -> None:
    assert not bypasses(url, "*")


def test_an_address_is_compared_without_its_interface() -> None:
    assert bypasses("https://[fe80::1%25eth0]/", "fe80::/10")
